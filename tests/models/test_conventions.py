"""What all published networks share.

Initial weights, padding that never trains, the running statistics of batch norm.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from features.store import schema
from models.layers import din_attention, dropped_bank, quadratic
from models.layers.final.network import FinalNetwork
from models.layers.mlp import Mlp
from models.layers.precision import Linear
from models.layers.quadratic import QuadraticNetwork
from models.network import N_LEVELS, Network
from models.settings import (
    AstaSettings,
    CrossSettings,
    DinSettings,
    FinalSettings,
    MlpSettings,
    QnnSettings,
    TransformerSettings,
)
from tests.helpers.networks.small import N_USERS, items, network, rows, settings

DCN = settings(
    interest="transformer",
    interaction="cross",
    embedding_dim=32,
    transformer=TransformerSettings(layers=1, feedforward=64, last=2),
    cross=CrossSettings(layers=1, deep=(64,), hidden=(32,)),
)
QIN = settings(embedding_dim=32, item_codes=True, user_id=True, qnn=QnnSettings(layers=1, rows=2))


@pytest.mark.parametrize("s", [QIN, DCN], ids=["qin", "dcn"])
def test_initial_weights_are_the_published_ones(s):
    """Xavier normal, zero biases; embeddings N(0, 1e-4) with a zero padding row; slopes 0.25."""
    torch.manual_seed(0)
    net = Network(s, items(), N_USERS)
    for module in net.modules():
        if isinstance(module, nn.Embedding):
            assert not module.weight[0].any()
            assert 0.7e-4 < module.weight[1:].std() < 1.3e-4
        if type(module) in (nn.Linear, Linear):  # classes that torch derives from it keep their own
            spread = (2 / sum(module.weight.shape)) ** 0.5
            assert module.bias is None or not module.bias.any()
            if module.weight.numel() > 500:
                assert 0.85 * spread < module.weight.std() < 1.15 * spread
                assert module.weight.abs().max() > 2.5 * spread  # normal, not uniform
        if isinstance(module, nn.PReLU):
            assert module.weight.tolist() == [0.25]


@pytest.mark.parametrize("s", [QIN, DCN], ids=["qin", "dcn"])
def test_the_padding_item_never_trains_although_an_empty_history_may_read_it(s):
    net, (data, _) = network(s), rows()
    net(data.batch(torch.arange(8))).sum().backward()
    tables = [m for m in net.modules() if isinstance(m, nn.Embedding)]
    assert all(not table.weight.grad[0].any() for table in tables)
    assert all(table.weight.grad[1:].any() for table in tables)


def test_levels_are_those_of_the_store():
    """models/ imports nothing of features/, so that the number stands in both."""
    assert N_LEVELS == schema.N_LEVELS


FINAL = FinalSettings(block1=(4,), block2=())
PARTS = {
    "qnn": lambda: QuadraticNetwork(6, QnnSettings(layers=1, dropout=0.0)),
    "mlp": lambda: Mlp(6, (4,), dropout=0.0, batch_norm=True),
    "final": lambda: FinalNetwork(6, FINAL),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_running_statistics_move_a_tenth_and_hold_the_unbiased_variance(monkeypatch, part):
    monkeypatch.setattr(quadratic, "takes", lambda *parts: False)  # call norm, whose hook looks on
    net = part().double()
    (norm,) = (m for m in net.modules() if isinstance(m, nn.BatchNorm1d))
    seen = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    net(torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    (x,) = seen
    variance = ((x - x.mean(0)) ** 2).sum(0) / (len(x) - 1)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * variance)
    net.eval()(x.new_ones(2, 6))
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))


DROPPING = {  # a part: settings, and the number of dropouts in a pass
    "qnn": (settings(qnn=QnnSettings(layers=2, dropout=0.5)), 4),
    "asta": (settings(asta=AstaSettings(dropout=0.5), qnn=QnnSettings(layers=2, dropout=0.0)), 1),
    "mlp": (settings(interest="mean", interaction="mlp", mlp=MlpSettings(hidden=(6, 4))), 2),
    "din": (settings(interest="din", interaction="qnn", din=DinSettings(hidden=(6, 4))), 2),
    "final": (
        settings(interest="mean", interaction="final", final=FinalSettings(block1=(4, 4))),
        3,
    ),
    "transformer": (
        settings(
            interest="transformer", interaction="qnn", transformer=TransformerSettings(last=2)
        ),
        2 * 3,
    ),
    "cross": (settings(interest="mean", interaction="cross", cross=CrossSettings(deep=(4, 4))), 4),
}


@pytest.mark.parametrize("part", DROPPING)
def test_dropout_is_where_it_is_published_and_as_strong_as_set(monkeypatch, part):
    for layer in (quadratic, din_attention, dropped_bank):  # call dropout, whose hook looks on
        monkeypatch.setattr(layer, "takes", lambda *parts: False)
    s, times = DROPPING[part]
    own = {part: replace(getattr(s, part), dropout=0.5)}
    if part != "qnn":
        own["qnn"] = replace(s.qnn, dropout=0.0)
    net, (data, _), drops = network(replace(s, **own)).train(), rows(), []

    def note(module, inputs, output):
        if module.p:
            drops.append((output[inputs[0] != 0] == 0).double())

    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(note)
    torch.manual_seed(0)
    for _ in range(20):
        net(data.batch(torch.arange(8)))
    assert len(drops) == 20 * times
    assert 0.4 < torch.cat(drops).mean() < 0.6
    n = len(drops)
    net.eval()(data.batch(torch.arange(8)))
    assert not torch.cat(drops[n:]).any()
