"""The networks of the Frappe benchmark: their settings, their tables, a step of training."""

import dataclasses

import pytest
import torch

from bench.frappe import fits, tables
from bench.frappe.published import PUBLISHED
from cv.auc import auc
from features.errors import InputError
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.training.fit import fit
from pipeline.config.paths import REPOSITORY

SIZES = (956, 4084, 9, 9, 4, 5, 4, 11, 82, 235)  # rows of Frappe_x1's vocabularies


def test_the_tables_give_published_beside_measured_and_differences_by_seed():
    def reports(*scores):
        fixed = {"parameters": 12, "best_epoch": 1, "epochs": [{"seconds": 2.04}]}
        return [fixed | {"auc": a, "log_loss": b} for a, b in scores]

    reports_by_network = {
        "final_2b": reports((0.98, 0.14), (0.99, 0.12)),
        "dcn": reports((0.90, 0.3), (0.92, 0.4)),
        "dcn_final": reports((0.93, 0.2), (0.91, 0.4)),
        "dcn_v2_final": reports((0.93, 0.2), (0.91, 0.4)),
        "deepfm": reports((0.90, 0.3), (0.92, 0.4)),
    }
    text = tables.table(reports_by_network, [1, 2])
    assert (
        "| final_2b | 338,502 | 12 | 0.9895 | 0.985744 | 0.985000 ± 0.007071"
        " | 0.131070 | 0.130000 ± 0.014142 | 8 | 2.0 | 1 (1), 1 (1) |"
    ) in text
    assert "| dcn_final | – | 12 | 0.9848 | – | 0.920000 ± 0.014142 | – | 0.300000 ±" in text
    assert "| dcn_v2_final | – | 12 | – | – | 0.920000 ± 0.014142 | – | 0.300000 ±" in text
    assert "counts its MLP twice" not in text
    mlp = {"mlp": reports((0.90, 0.3), (0.92, 0.4)), "mlp_final": reports((0.80, 0.3), (0.82, 0.4))}
    assert "364,001" in tables.table(mlp, [1, 2])
    gains = tables.gains(reports_by_network | mlp)
    assert "| DCN | +0.010000 ± 0.028284 | -0.050000 ± 0.070711 |" in gains
    assert "| MLP | -0.100000 ± 0.000000 | +0.000000 ± 0.000000 |" in gains
    assert "DeepFM" not in gains
    assert gains.endswith("backbones whose mean AUC gains: 1 of 2")
    assert tables.gains({"final_1b": reports((0.9, 0.1))}) == ""
    of_layers = {"final_1b": reports((0.9, 0.1)), "final_1b_paper": reports((0.8, 0.3))}
    layers = tables.gains(of_layers)
    assert layers.startswith("| paper's layer - published, in |")
    assert layers.endswith("| FINAL 1B | -0.100000 | +0.200000 |")
    assert tables.gains(of_layers | reports_by_network | mlp) == f"{layers}\n\n{gains}"


@pytest.mark.parametrize("backbone", tables.BACKBONES)
def test_a_final_block_takes_the_mlps_place_and_all_else_stays(backbone):
    plain, block = (fits.network_settings(f"{backbone}{end}") for end in ("", "_final"))
    assert (plain.deep, block.deep) == ("mlp", "final")
    assert dataclasses.replace(block, deep="mlp", final=plain.final) == plain
    kept = (plain.mlp.hidden, plain.mlp.dropout, plain.mlp.batch_norm)
    assert (block.final.block1, block.final.dropout, block.final.batch_norm) == kept
    published = fits.network_settings("final_1b").final
    assert published == dataclasses.replace(block.final, block1=(400, 400), dropout=0.2)
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in FieldNetwork(s, SIZES).parameters()) for s in (plain, block)
        ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("network", "more"), [("final_1b", 200_800), ("final_2b", 281_200)])
def test_the_papers_layer_is_the_only_change_and_has_twice_the_maps(network, more):
    plain, paper = (fits.network_settings(f"{network}{end}") for end in ("", "_paper"))
    assert paper.final.layer == "paper"
    layer = dataclasses.replace(paper.final, layer="published")
    assert dataclasses.replace(paper, final=layer) == plain
    networks = [FieldNetwork(s, [5] * 10) for s in (plain, paper)]
    published, ours = (sum(p.numel() for p in net.parameters()) for net in networks)
    assert ours - published == more


def test_dual_differs_from_final_with_two_blocks_by_distillation_alone():
    dual, two = (fits.network_settings(name) for name in ("final_dual", "final_2b"))
    assert two.final.distillation
    without = dataclasses.replace(two.final, distillation=False)
    assert dual == dataclasses.replace(two, final=without)


@pytest.mark.parametrize("name", tables.NETWORKS)
def test_every_network_trains_a_step_from_its_settings(name):
    """A step at the published sizes on 8 rows."""
    s = fits.network_settings(name, 1)
    torch.manual_seed(0)
    network = FieldNetwork(s, SIZES)
    rows = FieldRows(torch.stack([torch.randint(1, n, (8,)) for n in SIZES], dim=1))
    label = torch.tensor([0.0, 1.0] * 4)
    report = fit(network, rows, label, rows, label, s.fit, seed=0, score=auc)
    assert torch.isfinite(report.held_logits).all()


def test_every_network_has_its_settings_and_every_settings_file_its_network():
    names = {path.stem for path in (REPOSITORY / "bench/frappe").glob("*.toml")}
    blocks = {f"{backbone}_final" for backbone in tables.BACKBONES}
    assert names - {"shared"} == {*tables.NETWORKS} - blocks
    assert {*PUBLISHED} <= {*tables.NETWORKS}


def test_settings_that_no_part_reads_are_refused():
    head = 'explicit = "none"\ndeep = "mlp"\n'
    with pytest.raises(InputError, match=r"row: unknown key 'depe', did you mean 'deep'\?"):
        fits.parse(head + 'depe = "mlp"', "row")
    with pytest.raises(InputError, match="row: 'cin' is read by no part that this network has"):
        fits.parse(head + "cin.maps = [2]", "row")
    final = head.replace("mlp", "final") + "[final]\n"
    with pytest.raises(InputError, match=r"row: 'final\.steps' is read by no part that this net"):
        fits.parse(final + "steps = 3", "row")
    with pytest.raises(InputError, match=r"row: 'final\.residual' is read by no part that this"):
        fits.parse(final + 'layer = "paper"\nresidual = "sum"', "row")
    with pytest.raises(InputError, match=r"row: final\.steps = 1 must "):
        fits.parse(final + 'layer = "paper"\nsteps = 1', "row")
    for key in ("item_dropout = 0.1", "prefixes = 3"):
        with pytest.raises(InputError, match="fields have none: leave it 0"):
            fits.parse(f'explicit = "cross"\ndeep = "mlp"\n[fit]\n{key}', "row")
    with pytest.raises(InputError, match="row: not TOML"):
        fits.parse("deep =", "row")
