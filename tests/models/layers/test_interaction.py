"""Interactions against their equations as loops."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.layers.cross import CrossTower
from models.layers.final.distillation import self_distillation
from models.layers.final.network import FinalNetwork
from models.layers.mlp import Mlp
from models.layers.quadratic import QuadraticLayer, QuadraticNetwork
from models.network import initialise
from models.settings import CrossSettings, FinalSettings, QnnSettings

close = torch.testing.assert_close
X = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def batch_norm(x, norm):
    """Training mode, written out: biased variance, eps 1e-5."""
    mean = x.mean(0)
    variance = ((x - mean) ** 2).mean(0)
    return (x - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias


@pytest.mark.parametrize("activate", ["post", "mid"])
@pytest.mark.parametrize("activation", ["prelu", "relu"])
@pytest.mark.parametrize("norm", [True, False])
def test_a_quadratic_layer_matches_the_equation_written_as_loops(activation, activate, norm):
    s = QnnSettings(rows=3, dropout=0.0, batch_norm=norm, activation=activation, activate=activate)
    layer = QuadraticLayer(6, s).double()
    slope = 0.0 if activation == "relu" else layer.activation.weight.item()
    assert slope == (0.0 if activation == "relu" else 0.25)

    def act(v):
        return torch.where(v > 0, v, slope * v)

    product = torch.zeros_like(X)
    for b in range(len(X)):
        for r in range(3):
            w, bias = layer.bank.weight[6 * r : 6 * r + 6], layer.bank.bias[6 * r : 6 * r + 6]
            h = w @ X[b] + bias
            product[b] += X[b] * (act(h) if activate == "mid" else h)
    q = batch_norm(product, layer.norm) if norm else product
    close(layer(X), X + (q if activate == "mid" else act(q)))


@pytest.mark.parametrize("activate", ["post", "mid"])
def test_the_bank_has_the_value_and_gradients_of_the_loop_over_its_rows(activate):
    layer = QuadraticLayer(6, QnnSettings(dropout=0.0, activate=activate)).double()
    grads = [
        torch.autograd.grad((f(X) ** 3).sum(), list(layer.parameters()))
        for f in (layer, layer.reference)
    ]
    for collapsed, looped in zip(*grads, strict=True):
        close(collapsed, looped, rtol=1e-11, atol=1e-11)


def test_dropout_inside_the_bank_makes_its_rows_differ():
    torch.manual_seed(0)
    layer = QuadraticLayer(6, QnnSettings(dropout=0.5, batch_norm=False)).double()
    many = torch.stack([layer.summed_bank(X) for _ in range(4000)])
    collapsed = layer.eval().summed_bank(X)
    close(many.mean(0), collapsed, rtol=0, atol=0.1)  # dropout keeps the expectation
    assert (many.std(0) > 0.05).all()


def test_two_linear_layers_cannot_tell_apart_what_a_quadratic_network_can():
    s = QnnSettings(layers=1, rows=2, dropout=0.0, batch_norm=False)
    net = QuadraticNetwork(6, s).double()
    assert not torch.allclose(net(2 * X) - net(0 * X), 2 * (net(X) - net(0 * X)))


@pytest.mark.parametrize("gating", [False, True])
@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("residual", ["concat", "sum"])
def test_final_blocks_match_the_equation_written_as_loops(residual, activation, gating):
    torch.manual_seed(0)
    s = FinalSettings(
        block1=(8, 4), block2=(6,), residual=residual, activation1=activation, gating=gating,
        dropout=0.0,
    )  # fmt: skip
    net, first = FinalNetwork(6, s, field_dim=2).double(), X
    act = {"none": lambda x: x, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
    if gating:
        nn.init.normal_(net.gate.weight)
        gated = torch.zeros_like(X)
        for b, f, g, e in itertools.product(range(len(X)), range(3), range(3), range(2)):
            gated[b, 2 * f + e] += net.gate.weight[f, g] * X[b, 2 * g + e]
        first = torch.cat((X, X * (gated + net.gate.bias.repeat_interleave(2))), 1)
    wanted = []
    for x, widths, act_, block, fc in zip(
        (first, X), ((8, 4), (6,)), (act[activation], act["none"]), net.blocks, net.heads,
        strict=True,
    ):  # fmt: skip
        linears = [m.linear for m in block if hasattr(m, "linear")]
        norms = [m for m in block if isinstance(m, nn.BatchNorm1d)]
        for width, linear, norm in zip(widths, linears, norms, strict=True):
            h = x @ linear.weight.T + linear.bias
            half = width // 2 if residual == "concat" else width
            g, q = h[:, :half], h[:, half:]
            both = torch.cat((g, g * q), 1) if residual == "concat" else g + g * q
            x = act_(batch_norm(both, norm))
        wanted.append(x @ fc.weight.T + fc.bias)
    close(net(X), torch.cat(wanted, 1))


def test_a_gate_starts_as_ones_and_stays_so_through_initialisation():
    net = FinalNetwork(6, FinalSettings(gating=True, block1=(4,), block2=()), field_dim=3)
    net.apply(initialise)
    close(net.gate(X.float()), torch.cat((X, X), 1).float())


def test_distillation_teaches_each_block_the_mean_and_the_teacher_nothing():
    torch.manual_seed(0)
    branches = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    p = torch.sigmoid((branches[:, 0] + branches[:, 1]) / 2).detach()
    want = sum(F.binary_cross_entropy(torch.sigmoid(branches[:, i]), p) for i in range(2))
    lost = self_distillation(branches)
    close(lost, want)
    (grad,) = torch.autograd.grad(lost, branches)
    close(grad, (torch.sigmoid(branches) - p[:, None]).detach() / len(p))


def test_mlp_matches_its_layers_applied_by_hand():
    net = Mlp(6, (5, 3), dropout=0.0, batch_norm=True).double()
    first, norm1, _, _, second, norm2, _, _ = net.hidden
    x = torch.relu(batch_norm(first(X), norm1))
    x = torch.relu(batch_norm(second(x), norm2))
    close(net(X), net.head(x))


def test_the_cross_tower_matches_the_equations_written_as_loops():
    net = CrossTower(6, CrossSettings(layers=2, deep=(5,), hidden=(4,), dropout=0.0)).double()
    crossed = X.clone()
    for linear in net.cross.layers:
        step = torch.zeros_like(X)
        for b, i in itertools.product(range(len(X)), range(6)):
            step[b, i] = X[b, i] * (linear.weight[i] @ crossed[b] + linear.bias[i])
        crossed = crossed + step
    deep, over = net.deep[0], net.over[0]
    x = torch.relu(torch.cat((crossed, torch.relu(deep(X))), 1) @ over.weight.T + over.bias)
    close(net(X), net.head(x))
