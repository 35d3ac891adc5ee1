"""The networks of the benchmark over fields: what differs between them, a step of training."""

import dataclasses

import pytest
import torch

from bench.fields.settings import BACKBONES, NETWORKS, data_set, network_settings
from cv.auc import auc
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.training.fit import fit

OF = data_set("frappe_x1")
SIZES = OF.data.sizes


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


@pytest.mark.parametrize("data", ["frappe_x1", "criteo_x1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_a_step_from_its_settings(name, data):
    """A step of the published layers on 8 rows; Criteo_x1 has numeric fields, too."""
    of = data_set(data)
    s, sizes, n_numeric = network_settings(name, of, 1), of.data.sizes, len(of.data.numeric)
    sizes = [min(size, 100) for size in sizes]
    torch.manual_seed(0)
    network = FieldNetwork(s, sizes, n_numeric)
    columns = torch.stack([torch.randint(1, n, (8,)) for n in sizes], dim=1)
    rows = FieldRows(columns, torch.rand(8, n_numeric) if n_numeric else None)
    label = torch.tensor([0.0, 1.0] * 4)
    report = fit(network, rows, label, rows, label, s.fit, seed=0, score=auc)
    assert torch.isfinite(report.held_logits).all()
