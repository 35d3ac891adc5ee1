"""Interactions against their equations as loops.   run: ./run_tests.sh tests/test_interaction.py"""

import pytest
import torch
import torch.nn.functional as F

from models.final import FinalNetwork, self_distillation
from models.mlp import Mlp
from models.quadratic import QuadraticLayer, QuadraticNetwork, reference_layer

close = torch.testing.assert_close
X = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def batch_norm(x, norm):
    """Training mode, written out: biased variance, eps 1e-5."""
    mean = x.mean(0)
    variance = ((x - mean) ** 2).mean(0)
    return (x - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias


def test_a_quadratic_layer_matches_the_equation_written_as_loops():
    layer = QuadraticLayer(6, rows=3, dropout=0.0, batch_norm=True).double()
    product = torch.zeros_like(X)
    for b in range(len(X)):
        for r in range(3):
            w, bias = layer.bank.weight[6 * r : 6 * r + 6], layer.bank.bias[6 * r : 6 * r + 6]
            product[b] += X[b] * (w @ X[b] + bias)
    q = batch_norm(product, layer.norm)
    want = X + torch.where(q > 0, q, layer.activation.weight * q)
    close(layer(X), want)


def test_the_collapsed_bank_has_the_value_and_gradients_of_the_loop_over_its_rows():
    layer = QuadraticLayer(6, rows=4, dropout=0.0, batch_norm=True).double()
    grads = [
        torch.autograd.grad((f(X) ** 3).sum(), list(layer.parameters()))
        for f in (layer, lambda x: reference_layer(layer, x))
    ]
    for collapsed, looped in zip(*grads, strict=True):
        close(collapsed, looped, rtol=1e-11, atol=1e-11)


def test_dropout_inside_the_bank_makes_its_rows_differ():
    torch.manual_seed(0)
    layer = QuadraticLayer(6, rows=4, dropout=0.5, batch_norm=False).double()
    many = torch.stack([layer.summed_bank(X) for _ in range(4000)])
    collapsed = layer.eval().summed_bank(X)
    close(many.mean(0), collapsed, rtol=0, atol=0.1)  # dropout keeps the expectation
    assert (many.std(0) > 0.05).all()


def test_two_linear_layers_cannot_tell_apart_what_a_quadratic_network_can():
    net = QuadraticNetwork(6, layers=1, rows=2, dropout=0.0, batch_norm=False).double()
    assert not torch.allclose(net(2 * X) - net(0 * X), 2 * (net(X) - net(0 * X)))


@pytest.mark.parametrize("residual", ["concat", "sum"])
def test_final_blocks_match_the_equation_written_as_loops(residual):
    torch.manual_seed(0)
    net = FinalNetwork(6, ((8, 4), (6,)), residual, dropout=0.0, batch_norm=True).double()
    wanted = []
    for block, widths in zip(net.blocks, ((8, 4), (6,)), strict=True):
        x, modules = X, list(block)
        for i, width in enumerate(widths):
            linear, norm = modules[3 * i].linear, modules[3 * i + 1]
            h = x @ linear.weight.T + linear.bias
            half = width // 2 if residual == "concat" else width
            g, q = h[:, :half], h[:, half:]
            x = batch_norm(torch.cat((g, g * q), 1) if residual == "concat" else g + g * q, norm)
        wanted.append(x @ modules[-1].weight.T + modules[-1].bias)
    close(net(X), torch.cat(wanted, 1))


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
    first, norm1, _, _, second, norm2, _, _, out = net.tower
    x = torch.relu(batch_norm(first(X), norm1))
    x = torch.relu(batch_norm(second(x), norm2))
    close(net(X), out(x))
