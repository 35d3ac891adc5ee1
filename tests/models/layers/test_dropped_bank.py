"""A quadratic layer's bank with dropout inside, by pieces of rows, beside the formula."""

import pytest
import torch

from models.layers import dropped_bank
from models.layers.dropout import dropped
from models.layers.precision import matmul_precision
from models.layers.quadratic import QuadraticLayer
from models.settings import QnnSettings

WIDTH, R = 6, 3


def layer(p, dtype=torch.float64, **settings):
    torch.manual_seed(1)
    made = QuadraticLayer(WIDTH, QnnSettings(rows=R, dropout=p, bank="full", **settings)).to(dtype)
    made.bank.bias.data.normal_()
    return made


def rows(n, dtype=torch.float64):
    return torch.randn(n, WIDTH, dtype=dtype, generator=torch.Generator().manual_seed(0))


def formula(made, x, size, p):
    """sum_r dropout(W_r x + b_r), with the positions that pieces of `size` rows draw."""
    kept = []
    for piece in x.split(size):
        mask = torch.ones(len(piece), R * WIDTH, dtype=x.dtype)
        mask.view(-1)[dropped(mask.numel(), p)] = 0
        kept.append(mask / (1 - p))
    h = (x @ made.bank.weight.T + made.bank.bias) * torch.cat(kept)
    return h.unflatten(1, (R, WIDTH)).sum(1)


def computed(function, made, x):
    """Result and gradients, from the same random numbers."""
    made.zero_grad()
    torch.manual_seed(2)
    x = x.clone().requires_grad_()
    y = function(x)
    y.backward(torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(3)))
    return y.detach(), x.grad, made.bank.weight.grad.clone(), made.bank.bias.grad.clone()


def compare(monkeypatch, size, p, dtype=torch.float64, **tolerance):
    monkeypatch.setattr(dropped_bank, "ROWS", size)
    made, x = layer(p, dtype), rows(30, dtype)
    got = computed(made.summed_bank, made, x)
    want = computed(lambda x: formula(made, x, size, p), made, x)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("size", [1, 7, 30, 100])
def test_the_bank_computes_the_formula(monkeypatch, size, p):
    compare(monkeypatch, size, p, rtol=1e-10, atol=1e-10)


def test_in_float32_and_through_onednn_it_is_as_exact(monkeypatch):
    monkeypatch.setattr("models.layers.precision.WIDE", 4)
    compare(monkeypatch, 7, 0.1, torch.float32, rtol=1e-5, atol=1e-5)


def test_under_torchs_deterministic_mode_too(monkeypatch):
    torch.use_deterministic_algorithms(True)
    try:
        compare(monkeypatch, 7, 0.1, rtol=1e-10, atol=1e-10)
    finally:
        torch.use_deterministic_algorithms(False)


def test_other_cases_keep_their_operators(monkeypatch):
    def fails(*arguments):
        raise AssertionError

    monkeypatch.setattr(dropped_bank, "summed", fails)
    x = rows(4)
    layer(0.7).summed_bank(x)  # drops more than half
    layer(0.1).summed_bank(x[:0])
    layer(0.1).eval().summed_bank(x)
    layer(0.1, activate="mid").summed_bank(x)
    with matmul_precision("bf16", torch.device("cpu")):
        layer(0.1, torch.float32).summed_bank(x.float())
