"""bench.products: float32 products by library and width."""

import pytest
import torch

from bench import products
from bench.products import LIBRARIES, PRODUCTS, main, measure, step
from models.layers.precision import WIDE


def test_a_row_for_each_width_and_number_of_rows(capsys):
    assert main(["--widths", "8,24", "--rows", "16,40", "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert f"1 threads; WIDE is {WIDE}" in out
    rows = [line.split(" | ")[:2] for line in out.splitlines() if line.startswith("| ")][2:]
    assert rows == [["| 8", "16"], ["| 24", "16"], ["| 8", "40"], ["| 24", "40"]]


def test_both_libraries_compute_the_same_map_and_gradients():
    g = torch.Generator().manual_seed(0)
    x, weight = torch.randn(40, 24, generator=g), torch.randn(8, 24, generator=g)
    found = []
    for product in PRODUCTS.values():
        leaves = [t.clone().requires_grad_() for t in (x, weight)]
        output = product(*leaves)
        found.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    leaves = [t.clone().requires_grad_() for t in (x, weight)]
    torch.testing.assert_close(step(PRODUCTS["torch"], *leaves), x @ weight.T)


def test_float32_is_never_rounded_and_the_setting_is_as_before(monkeypatch):
    monkeypatch.setattr(products, "SECONDS", 0.0)
    before = torch.backends.mkldnn.matmul.fp32_precision
    rates, errors = measure(32, 64, 2, iter(range(1000)).__next__)
    assert len(rates) == len(LIBRARIES)
    assert rates == [3 * 2 * 64 * 32 * 32 / 1e9] * len(LIBRARIES)  # one second each
    assert errors[0] < 1e-5
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--widths", "8,x"], "error: --widths 8,x: expected whole numbers of at least 1"),
        (["--rows", "0"], "error: --rows 0: expected whole numbers of at least 1"),
        (["--threads", "0"], "error: --threads = 0 must be at least 1"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(capsys, options, message):
    assert main(options) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
