"""The networks of the benchmark over fields: their tables, a step of training."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.fields import differences, tables
from bench.fields.settings import BACKBONES, NETWORKS, data_set, network_settings
from cv.auc import auc
from cv.trainings import training_bootstrap
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.training.fit import fit

OF = data_set("frappe_x1")
SIZES = OF.data.sizes
LABEL = np.tile([0, 1], 200)


def scores(quality, *figures):
    """A network whose seeds have these figures (AUC, log loss); its logits know the label by
    `quality`, and are noise otherwise."""
    fixed = {"parameters": 12, "best_epoch": 1, "epochs": [{"seconds": 2.04}]}
    reports = [fixed | {"auc": a, "log_loss": b} for a, b in figures]
    noise = np.random.default_rng(0).standard_normal((len(LABEL), len(figures)))
    return tables.Scores(reports, noise + quality * LABEL[:, None])


SCORES = {
    "final_2b": scores(3, (0.98, 0.14), (0.99, 0.12)),
    "dcn": scores(1, (0.90, 0.3), (0.92, 0.4)),
    "dcn_final": scores(2, (0.93, 0.2), (0.91, 0.4)),
    "dcn_v2_final": scores(2, (0.93, 0.2), (0.91, 0.4)),
    "deepfm": scores(1, (0.90, 0.3), (0.92, 0.4)),
}
MLP = {
    "mlp": scores(2, (0.90, 0.3), (0.92, 0.4)),
    "mlp_final": scores(2, (0.80, 0.3), (0.82, 0.4)),
}


def test_the_table_gives_published_beside_measured():
    text = tables.table(SCORES, [1, 2], OF.published)
    assert (
        "| final_2b | 338,502 | 12 | 0.9895 | 0.985744 | 0.985000 ± 0.007071"
        " | 0.131070 | 0.130000 ± 0.014142 | 8 | 2.0 | 1 (1), 1 (1) |"
    ) in text
    assert "| dcn_final | – | 12 | 0.9848 | – | 0.920000 ± 0.014142 | – | 0.300000 ±" in text
    assert "| dcn_v2_final | – | 12 | – | – | 0.920000 ± 0.014142 | – | 0.300000 ±" in text
    assert "counts its MLP twice" not in text
    assert "364,001" in tables.table(MLP, [1, 2], OF.published)


def test_gains_are_taken_seed_by_seed_with_intervals_over_rows_and_seeds():
    gains = differences.gains(SCORES | MLP, LABEL)
    rows = {row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in gains.splitlines()}
    assert rows["DCN"][0] == "+0.010000 ± 0.028284"
    assert rows["DCN"][2] == "-0.050000 ± 0.070711 |"
    found = training_bootstrap(LABEL, SCORES["dcn_final"].logits, SCORES["dcn"].logits)
    assert rows["DCN"][1] == f"[{found.low:+.6f}, {found.high:+.6f}]"
    assert 0 < found.estimate < found.high
    assert rows["MLP"][:2] == ["-0.100000 ± 0.000000", "[+0.000000, +0.000000]"]
    assert "DeepFM" not in gains
    assert gains.endswith("mean AUC higher: 1 of 2")
    assert differences.gains({"final_1b": scores(1, (0.9, 0.1))}, LABEL) == ""
    of_layers = {"final_1b": scores(1, (0.9, 0.1)), "final_1b_paper": scores(0, (0.8, 0.3))}
    layers = differences.gains(of_layers, LABEL)
    assert layers.startswith("| paper's layer - published, in |")
    assert "| FINAL 1B | -0.100000 | [-" in layers
    assert differences.gains(of_layers | SCORES | MLP, LABEL) == f"{layers}\n\n{gains}"


def test_networks_stand_in_the_order_of_their_auc_each_with_its_lead_over_the_next():
    networks = {name: SCORES[name] for name in ("dcn", "final_2b", "dcn_final")}
    lines = differences.order(networks, LABEL).splitlines()[2:]
    assert [line.split(" | ")[:4] for line in lines] == [
        ["| 1", "final_2b", "0.985000", "+0.065000"],
        ["| 2", "dcn_final", "0.920000", "+0.010000"],
        ["| 3", "dcn", "0.910000", "–"],
    ]
    found = training_bootstrap(LABEL, networks["final_2b"].logits, networks["dcn_final"].logits)
    assert lines[0].endswith(f"| [{found.low:+.6f}, {found.high:+.6f}] |")
    assert differences.order({"dcn": networks["dcn"]}, LABEL) == ""


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_final_block_takes_the_mlps_place_and_all_else_stays(backbone):
    plain, block = (network_settings(f"{backbone}{end}", OF) for end in ("", "_final"))
    assert (plain.deep, block.deep) == ("mlp", "final")
    assert dataclasses.replace(block, deep="mlp", final=plain.final) == plain
    kept = (plain.mlp.hidden, plain.mlp.dropout, plain.mlp.batch_norm)
    assert (block.final.block1, block.final.dropout, block.final.batch_norm) == kept
    published = network_settings("final_1b", OF).final
    assert published == dataclasses.replace(block.final, block1=(400, 400), dropout=0.2)
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in FieldNetwork(s, SIZES).parameters()) for s in (plain, block)
        ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("network", "more"), [("final_1b", 200_800), ("final_2b", 281_200)])
def test_the_papers_layer_is_the_only_change_and_has_twice_the_maps(network, more):
    plain, paper = (network_settings(f"{network}{end}", OF) for end in ("", "_paper"))
    assert paper.final.layer == "paper"
    layer = dataclasses.replace(paper.final, layer="published")
    assert dataclasses.replace(paper, final=layer) == plain
    networks = [FieldNetwork(s, [5] * 10) for s in (plain, paper)]
    published, ours = (sum(p.numel() for p in net.parameters()) for net in networks)
    assert ours - published == more


def test_dual_differs_from_final_with_two_blocks_by_distillation_alone():
    dual, two = (network_settings(name, OF) for name in ("final_dual", "final_2b"))
    assert two.final.distillation
    without = dataclasses.replace(two.final, distillation=False)
    assert dual == dataclasses.replace(two, final=without)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_a_step_from_its_settings(name):
    """A step at the published sizes on 8 rows."""
    s = network_settings(name, OF, 1)
    torch.manual_seed(0)
    network = FieldNetwork(s, SIZES)
    rows = FieldRows(torch.stack([torch.randint(1, n, (8,)) for n in SIZES], dim=1))
    label = torch.tensor([0.0, 1.0] * 4)
    report = fit(network, rows, label, rows, label, s.fit, seed=0, score=auc)
    assert torch.isfinite(report.held_logits).all()
