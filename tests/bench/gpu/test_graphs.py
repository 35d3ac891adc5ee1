"""Batches of fixed sizes, as a CUDA graph needs them."""

import copy

import pytest
import torch

from bench.gpu.scale import without_dropout
from bench.gpu.speed.graphs import FixedBatch, WithoutLastRow
from models.training.losses import loss
from tests.helpers.networks.small import network, rows, settings


@pytest.mark.parametrize(
    ("interest", "interaction"), [("asta", "qnn"), ("din", "mlp"), ("din", "final")]
)
def test_a_batch_of_fixed_sizes_gives_the_same_loss_and_gradients(interest, interaction):
    cfg = without_dropout(settings(interest=interest, interaction=interaction))  # draws for fillers
    net, (data, label) = network(cfg).train(), rows(n_rows=9)
    pairs = [(data.batch(index), label[index]) for index in torch.arange(9).split(3)]
    fixed, other = FixedBatch(pairs), WithoutLastRow(copy.deepcopy(net))
    for batch, its_label in pairs:
        fixed.load(batch, its_label)
        expected = gradients(net, batch, its_label, cfg)
        found = gradients(other, fixed.read(), fixed.label, cfg)
        assert all(map(torch.allclose, found, expected))
    assert len({len(batch.history.position) for batch, _ in pairs}) > 1
    assert len({len(batch.items) for batch, _ in pairs}) > 1


def gradients(net, batch, label, cfg) -> list[torch.Tensor]:
    net.zero_grad(set_to_none=True)
    loss(net, batch, label, cfg.fit).backward()
    return [p.grad for p in net.parameters()]
