"""A quadratic layer's elementwise part by pieces of rows, beside the operators it stands for."""

import pytest
import torch

from models.layers import quadratic, residual_product
from models.layers.quadratic import QuadraticLayer
from models.settings import QnnSettings

WIDTH = 24


@pytest.fixture(autouse=True, params=[16, 1000])
def rows_at_once(monkeypatch, request):
    monkeypatch.setattr(residual_product, "rows_at_once", lambda n: min(n, request.param))


def layer(p=0.1, dtype=torch.float64, **settings):
    """A layer whose parameters are not those of the start."""
    torch.manual_seed(1)
    made = QuadraticLayer(WIDTH, QnnSettings(dropout=p, bank="collapsed", **settings)).to(dtype)
    if settings.get("batch_norm", True):
        made.norm.weight.data.uniform_(0.5, 2)
        made.norm.bias.data.normal_()
    return made


def computed(made, x):
    """Output, gradients and running statistics of a training step from the same random numbers."""
    made.zero_grad()
    torch.manual_seed(2)
    x = x.clone().requires_grad_()
    y = made(x)
    grad = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(3))
    y.backward(grad)
    norm = [buffer.clone() for buffer in made.norm.buffers()]
    return [y.detach(), x.grad, *(p.grad.clone() for p in made.parameters()), *norm]


def rows(n, dtype=torch.float64):
    """(n, WIDTH) whose columns have means and scales of their own, and change along the rows."""
    torch.manual_seed(0)
    x = torch.randn(n, WIDTH, dtype=dtype) * torch.logspace(-2, 2, WIDTH, dtype=dtype)
    return x + torch.linspace(-3, 5, WIDTH, dtype=dtype) + torch.linspace(0, 2, n)[:, None].to(x)


def compare(monkeypatch, make, x, **tolerance):
    got = computed(make(), x)
    with monkeypatch.context() as plain:
        plain.setattr(quadratic, "takes", lambda *parts: False)
        want = computed(make(), x)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("n", [2, 16, 17, 100])
def test_a_layer_computes_what_its_operators_compute(monkeypatch, n, p):
    compare(monkeypatch, lambda: layer(p), rows(n), rtol=1e-9, atol=1e-9)


def test_in_float32_it_is_as_exact(monkeypatch):
    x = torch.randn(500, WIDTH)

    def make():
        return layer(dtype=torch.float32)

    compare(monkeypatch, make, x, rtol=1e-5, atol=2e-5)


def test_under_torchs_deterministic_mode_too(monkeypatch):
    torch.use_deterministic_algorithms(True)
    try:
        compare(monkeypatch, layer, rows(50), rtol=1e-9, atol=1e-9)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_second_step_moves_the_running_statistics_on(monkeypatch):
    def make():
        made = layer()
        computed(made, rows(40) * 2)
        return made

    compare(monkeypatch, make, rows(60), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "settings", [{"activation": "relu"}, {"activate": "mid"}, {"batch_norm": False}, {"p": 0.7}]
)
def test_other_layers_keep_their_operators(monkeypatch, settings):
    def fails(*arguments):
        raise AssertionError

    monkeypatch.setattr(quadratic, "residual_product", fails)
    made = layer(**settings)
    assert made(rows(30)).shape == (30, WIDTH)


def test_one_thread_takes_few_rows_and_several_all(monkeypatch, rows_at_once):
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert residual_product.rows_at_once(5000) == residual_product.ROWS
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert residual_product.rows_at_once(5000) == 5000


def test_one_row_is_refused_as_by_batch_norm():
    with pytest.raises(ValueError, match="more than 1 value"):
        layer()(rows(1))
