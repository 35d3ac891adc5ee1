"""The fused kernels against ragged attention; on a CPU by Triton's interpreter.

Triton is no package of ours (torch's CUDA build brings it): without it, these tests are skipped.
"""

import importlib
import sys

import pytest
import torch

from models.layers import ragged
from models.layers.sparse_target_attention import SparseTargetAttention
from tests.helpers.networks.small import history

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
close = torch.testing.assert_close


@pytest.fixture(scope="module")
def fused():
    """The module; its kernels are interpreted where there is no GPU."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE == "cpu":
            if "triton" in sys.modules:
                pytest.skip("Triton reads TRITON_INTERPRET as it is imported, and it was before")
            patch.setenv("TRITON_INTERPRET", "1")
        pytest.importorskip("triton", reason="no Triton: torch's CUDA build brings it")
        yield importlib.import_module("bench.gpu.speed.triton_attention")


CASES = {  # lengths of the histories, distinct items, width of the vectors
    "short": ((0, 1, 4, 3, 0, 9, 0), 8, 6),
    "one row": ((5,), 4, 8),
    "one item": ((3, 40, 7), 1, 5),  # in several chunks
    "popular items": ((12, 0, 30, 17, 8, 25), 3, 20),
    "unused items": ((2, 3), 40, 3),
    "no entry": ((0, 0, 0), 4, 6),
}


def case(name, dtype):
    lengths, n_items, width = CASES[name]
    torch.manual_seed(len(name))
    query, items, grad = (
        torch.randn(n, width, dtype=dtype, device=DEVICE)
        for n in (len(lengths), n_items, len(lengths))
    )
    h = history(lengths, n_items)
    h = ragged.History(h.position.to(DEVICE), h.row.to(DEVICE), h.offsets.to(DEVICE))
    return query, items, h, grad


def unfused(query, items, h):
    return ragged.pool(torch.relu(ragged.dot(query, items, h)), items, h)


def with_gradients(attend, query, items, h, grad):
    leaves = [query.clone().requires_grad_(), items.clone().requires_grad_()]
    pooled = attend(*leaves, h)
    return pooled.detach(), *torch.autograd.grad(pooled, leaves, grad)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_values_and_gradients_are_those_of_ragged_attention(fused, name, dtype):
    query, items, h, grad = case(name, dtype)
    want = with_gradients(unfused, query, items, h, grad)
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-12}[dtype]
    for blocks in (fused.Blocks(), fused.Blocks(entries=2, warps=1, chunk=3)):
        got = with_gradients(lambda q, x, h, b=blocks: fused.attend(q, x, h, b), *case(name, dtype))
        for ours, theirs in zip(got, want, strict=True):
            close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_equal_inputs_give_equal_bits(fused):
    first, second = (
        with_gradients(fused.attend, *case("popular items", torch.float32)) for _ in range(2)
    )
    assert all(map(torch.equal, first, second))


def test_the_layer_computes_the_same_on_the_same_weights(fused):
    query, items, h, _ = case("short", torch.float32)
    layer = SparseTargetAttention(items.shape[1], 10).to(DEVICE)
    replaced = fused.FusedSparseTargetAttention(layer)
    assert dict(replaced.named_parameters()).keys() == dict(layer.named_parameters()).keys()
    found = []
    for part in (layer, replaced):
        out = part(query, items, h)
        found.append((out, *torch.autograd.grad(out.square().sum(), list(layer.parameters()))))
    for want, got in zip(*found, strict=True):
        close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changed", [{"weights": "softmax"}, {"dropout": 0.1}, {"positions": 4}], ids=str
)
def test_other_weights_are_refused(fused, changed):
    with pytest.raises(ValueError, match=r"compute 'relu' without dropout"):
        fused.FusedSparseTargetAttention(SparseTargetAttention(6, 10, **changed))
