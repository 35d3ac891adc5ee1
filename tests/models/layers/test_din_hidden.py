"""The first hidden layer of DIN's attention by pieces of rows, beside its operators."""

import pytest
import torch

from models.layers import din_attention, din_hidden
from models.layers.din_attention import DinAttention
from models.layers.precision import matmul_precision
from tests.helpers.networks.small import history

D, LENGTHS, N_ITEMS = 6, (2, 0, 4, 9, 1, 0, 3), 12


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(din_hidden, "rows_at_once", lambda: 3)


def computed(layer, dtype, lengths=LENGTHS):
    """Output and gradients of a training step from the same random numbers."""
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(len(lengths), D, dtype=dtype, generator=generator).requires_grad_()
    items = torch.randn(N_ITEMS, D, dtype=dtype, generator=generator).requires_grad_()
    layer.zero_grad()
    torch.manual_seed(4)
    y = layer(target, items, history(lengths, N_ITEMS))
    y.backward(torch.randn(y.shape, dtype=dtype, generator=generator))
    return [y.detach(), target.grad, items.grad, *(p.grad.clone() for p in layer.parameters())]


def compare(monkeypatch, layer, dtype=torch.float64, **tolerance):
    got = computed(layer, dtype)
    with monkeypatch.context() as plain:
        plain.setattr(din_attention, "takes", lambda *parts: False)
        want = computed(layer, dtype)
    assert want[1].abs().max() > 0
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


def attention(p, dtype=torch.float64, hidden=(8, 5), softmax=False):
    torch.manual_seed(1)
    layer = DinAttention(D, hidden, p, softmax).to(dtype).train()
    layer.first.bias.data.normal_()
    return layer


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_the_layer_computes_what_its_operators_compute(monkeypatch, p, softmax):
    compare(monkeypatch, attention(p, softmax=softmax), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [1, len(LENGTHS), 100])
def test_pieces_may_be_of_any_size(monkeypatch, size):
    monkeypatch.setattr(din_hidden, "rows_at_once", lambda: size)
    compare(monkeypatch, attention(0.1), rtol=1e-10, atol=1e-10)


def test_in_float32_and_through_onednn_it_is_as_exact(monkeypatch):
    monkeypatch.setattr("models.layers.precision.WIDE", 4)
    compare(monkeypatch, attention(0.2, torch.float32), torch.float32, rtol=1e-5, atol=1e-5)


def test_under_torchs_deterministic_mode_too(monkeypatch):
    torch.use_deterministic_algorithms(True)
    try:
        compare(monkeypatch, attention(0.1), rtol=1e-10, atol=1e-10)
    finally:
        torch.use_deterministic_algorithms(False)


def test_other_cases_keep_their_operators(monkeypatch):
    def fails(*arguments):
        raise AssertionError

    monkeypatch.setattr(din_attention, "hidden", fails)
    computed(attention(0.7), torch.float64)  # drops more than LARGEST
    computed(attention(0.1), torch.float64, lengths=(0, 0))  # no entry
    with matmul_precision("bf16", torch.device("cpu")):
        computed(attention(0.1, torch.float32), torch.float32)
    attention(0.1).eval()(
        torch.randn(2, D).double(), torch.randn(4, D).double(), history((1, 2), 4)
    )
