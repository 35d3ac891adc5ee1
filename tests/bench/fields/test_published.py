"""Every number in bench/fields/data_sets/*.toml against the published tables, where they are."""

import csv
import json
import re

import pytest

from bench.fields.settings import DATA_SETS, data_set, network_settings
from pipeline.config.paths import REPOSITORY
from pipeline.config.tables import flat

TABLES = REPOSITORY.parent / "shared" / "final-tables"
pytestmark = pytest.mark.skipif(not TABLES.is_dir(), reason="no ../shared/final-tables")
PUBLISHED_AS = {
    "criteo_x1": "criteo",
    "avazu_x1": "avazu",
    "movielens_x1": "movielenslatest",
    "frappe_x1": "frappe",
}
OF = {name: data_set(name) for name in DATA_SETS}
MODELS = {
    "LR": "lr",
    "FM": "fm",
    "AFM": "afm",
    "CrossNet": "crossnet",
    "CrossNetv2": "crossnet_v2",
    "CIN": "cin",
    "SAM": "sam",
    "AutoInt": "autoint",
    "DNN": "mlp",
    "DCN": "dcn",
    "DCNv2": "dcn_v2",
    "DeepFM": "deepfm",
    "AutoInt+": "autoint_plus",
    "xDeepFM": "xdeepfm",
    "FinalNet_1B": "final_1b",
    "FinalNet_2B": "final_2b",
}
OF_PAPER = {  # Table 1 -> ours; its other names differ from MODELS by their case alone
    "MLP": "mlp",
    "AutoInt": "autoint_plus",
    "FINAL": "final_1b",
    "FINAL dual": "final_dual",
    "FINAL(2B)+KD": "final_2b",
}
SAME_EVERYWHERE = {  # what the published runs have in common, and settings of parts they lack
    "seed": "2021",
    "net_regularizer": "0",
    "embedding_dropout": "0",
    "norm_type": "BN",
    "dnn_activations": "relu",
    "hidden_activations": "relu",
    "interaction_type": "SAM3A",
    "use_attention": "True",
    "use_low_rank_mixture": "False",
}
OF_OTHER_PARTS = {  # of networks without an MLP, of DCN V2's other structure and of its mixture
    "low_rank", "num_experts", "stacked_dnn_hidden_units", "model_structure", "block_type",
}  # fmt: skip


def runs():
    with (TABLES / "published.tsv").open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {(row["dataset"], MODELS[row["model"]]): row for row in rows}


def ours(network, key, cfg):
    """What the published setting `key` is here; None where no part of the network reads it."""
    mlp, final = cfg.deep == "mlp", cfg.final
    match key:
        case "attention_dropout":
            return [cfg.afm.dropout, cfg.afm.pooled_dropout]
        case "attention_dim":
            return (cfg.afm if network == "afm" else cfg.autoint).width
        case "attention_layers":
            return cfg.autoint.layers
        case "num_heads":
            return cfg.autoint.heads
        case "use_residual":
            return {"autoint": cfg.autoint, "sam": cfg.sam}[cfg.explicit].residual
        case "use_scale":
            return cfg.autoint.scale
        case "layer_norm":
            return cfg.autoint.layer_norm
        case "use_wide":
            return cfg.first_order
        case "cin_layer_units":
            return list(cfg.cin.maps)
        case "crossing_layers":
            return cfg.cross.layers
        case "num_cross_layers":
            return cfg.cross_v2.layers
        case "num_interaction_layers":
            return cfg.sam.layers
        case "aggregation":
            return {"concat": "concat", "weighted": "weighted_pooling"}[cfg.sam.pooling]
        case "batch_norm":
            return cfg.mlp.batch_norm if mlp else None
        case "dnn_hidden_units" | "hidden_units" | "parallel_dnn_hidden_units":
            return list(cfg.mlp.hidden) if mlp else None
        case "net_dropout":
            used = {"mlp": cfg.mlp.dropout} if mlp else {}
            used |= {"autoint": cfg.autoint.dropout, "sam": cfg.sam.dropout}
            found = {used[part] for part in (cfg.explicit, cfg.deep) if part in used}
            assert len(found) < 2
            return found.pop() if found else None
        case "block1_hidden_units":
            return list(final.block1)
        case "block2_hidden_units":
            return list(final.block2) or None
        case "block1_dropout":
            return final.dropouts[0]
        case "block2_dropout":
            return final.dropouts[1] if final.block2 else None
        case "block1_hidden_activations":
            return {"relu": "ReLU"}[final.activation1]
        case "block2_hidden_activations":
            return {"relu": "ReLU"}[final.activation2] if final.block2 else None
        case "use_field_gate":
            return final.gating
        case "learning_rate":
            return cfg.fit.learning_rate
        case "batch_size":
            return cfg.fit.batch_size
        case "embedding_dim":
            return cfg.embedding_dim
        case "embedding_regularizer" | "regularizer":
            return cfg.fit.embedding_l2
    raise AssertionError(f"{key} is compared with nothing")


def value(text):
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text


def test_settings_and_figures_of_all_runs_are_the_published_ones():
    published = runs()
    with_figures = {(PUBLISHED_AS[name], network) for name, of in OF.items()
                    for network, figures in of.published.items() if figures.parameters}  # fmt: skip
    assert with_figures == published.keys()
    for name, of in OF.items():
        for network in MODELS.values():
            row = published[PUBLISHED_AS[name], network]
            figures, cfg = of.published[network], network_settings(network, of)
            assert (figures.auc, figures.log_loss) == (
                float(row["test_auc"]),
                float(row["test_logloss"]),
            )
            assert figures.parameters == int(row["parameters"])
            assert figures.epochs == int(row["epochs"])
            assert figures.seconds == int(row["seconds_per_epoch_p100"])
            for key, text in json.loads(row["settings"]).items():
                if key in OF_OTHER_PARTS:
                    continue
                if key in SAME_EVERYWHERE:
                    assert text == SAME_EVERYWHERE[key]
                    continue
                found = ours(network, key, cfg)
                assert found is None or found == value(text), (name, network, key)


def test_nothing_else_is_set_for_a_network_of_a_published_run():
    """So the comparison above covers the sections: none changes a part's other settings."""
    kinds = {
        "first_order", "cross.layers", "cross_v2.layers", "cin.maps", "fit.embedding_l2",
        "afm.width", "afm.dropout", "afm.pooled_dropout",
        "autoint.layers", "autoint.heads", "autoint.width", "autoint.residual", "autoint.scale",
        "autoint.layer_norm", "autoint.dropout",
        "sam.layers", "sam.residual", "sam.pooling", "sam.dropout",
        "mlp.hidden", "mlp.dropout", "mlp.batch_norm",
        "final.block1", "final.block2", "final.gating", "final.dropout", "final.dropout2",
    }  # fmt: skip
    for of in OF.values():
        assert of.shared == {}
        for network, section in of.sections.items():
            assert flat(section).keys() <= kinds
            assert section == {} or network in MODELS.values()


def paper():
    """(published name of the data set, network) -> AUC in percent, as text; Tables 1 and 2."""
    text = " ".join((TABLES / "README.md").read_text(encoding="utf-8").split())
    names = {k.lower(): v for k, v in MODELS.items()} | {k.lower(): v for k, v in OF_PAPER.items()}
    order = ("criteo", "avazu", "movielenslatest", "frappe")
    found = {}

    def read(network, numbers):
        for data, number in zip(order, numbers, strict=True):
            assert found.setdefault((data, network), number) == number

    first = re.search(r"Table 1 of the FINAL paper.*?: (.*?)\. Table 2", text)[1]
    second = re.search(r"-> with a FINAL block\): (.*?)\. \(", text)[1]
    for row in first.split("; "):
        *name, a, b, c, d = row.split()
        read(names[" ".join(name).lower()], (a, b, c, d))
    for row in second.split("; "):
        with_mlp, with_final = row.split(" -> ")
        name, *numbers = with_mlp.split()
        read(names[name.lower()], numbers)
        read(f"{names[name.lower()]}_final", with_final.split())
    return found


def test_the_papers_aucs_are_those_of_its_tables():
    here = {
        (PUBLISHED_AS[name], network): f"{100 * figures.paper_auc:.2f}"
        for name, of in OF.items()
        for network, figures in of.published.items()
        if figures.paper_auc
    }
    assert here == paper()


@pytest.mark.parametrize("name", DATA_SETS)
def test_vocabularies_and_rows_are_the_published_ones(name):
    data = OF[name].data
    sizes = json.loads((TABLES / "vocabularies.json").read_text(encoding="utf-8"))
    assert dict(zip(data.categorical, data.sizes, strict=True)) == sizes[PUBLISHED_AS[name]]
    text = (TABLES / "README.md").read_text(encoding="utf-8").replace(",", "")
    rows = re.search(rf"{PUBLISHED_AS[name]} (\d+) / (\d+) / (\d+)", text).groups()
    assert (data.rows.train, data.rows.valid, data.rows.test) == tuple(map(int, rows))
