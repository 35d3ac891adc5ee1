"""Sparse target attention (ASTA), its score, ReLU and sum fused into Triton kernels.

    score_e  = query[row(e)] . items[position(e)]
    weight_e = ReLU(score_e)
    pooled_b = sum of weight_e items[position(e)] over the entries e of row b

Li et al. 2025, "Quadratic Interest Network", arXiv:2504.17699; the query is W_k^T W_q t / sqrt(A),
as in models.layers.sparse_target_attention, which computes the same by ragged.dot and ragged.pool.

    forward   a program per row reads each of its entries' items once; the scores are kept
    backward  1. a program per row: dscore_e = [score_e > 0] gradient_b . items[position(e)],
                 dquery_b = sum of dscore_e items[position(e)]
              2. entries sorted by item: ditems_u = sum of weight_e gradient[row(e)] + dscore_e
                 query[row(e)] over the entries that hold item u

An entry whose weight is 0 adds 0 to every gradient, and no backward kernel reads its vectors. A
popular item has thousands of entries: step 2 cuts them into chunks of a fixed length, a program
each, and a last kernel adds the chunks of an item up. No kernel uses atomics: equal inputs give
equal bits.

Triton comes with torch's CUDA build. TRITON_INTERPRET=1, set before this module is imported, runs
the kernels on a CPU, slowly.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd import Function

from models.layers.precision import exact, linear
from models.layers.ragged import History
from models.layers.sparse_target_attention import SparseTargetAttention


class Blocks(NamedTuple):
    """How the work is cut; the result differs in the order of its sums only.

    entries  that a program reads at a time, a power of two
    warps    of a program, a power of two
    chunk    entries of an item that one program adds up in the backward
    """

    entries: int = 4
    warps: int = 4
    chunk: int = 32


class FusedSparseTargetAttention(nn.Module):
    """The forward of `layer` by the fused kernels, on the same weights.

    Shapes as in SparseTargetAttention. Raises ValueError if its weights are not plain ReLU.
    """

    def __init__(self, layer: SparseTargetAttention, blocks: Blocks | None = None) -> None:
        super().__init__()
        position = layer.position is not None
        if layer.weights != "relu" or layer.dropout.p > 0 or position:
            raise ValueError(
                f"got asta.weights = {layer.weights!r}, asta.dropout = {layer.dropout.p}, "
                f"asta.position = {position}; the fused kernels compute 'relu' without dropout and "
                "positions: set these, or keep the layer"
            )
        self.query, self.key, self.value, self.out = layer.query, layer.key, layer.value, layer.out
        self.scale, self.width = layer.scale, layer.width
        self.blocks = blocks or Blocks()

    def forward(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        with exact(items):
            match = self.key.weight.T @ self.query.weight * self.scale  # (D, D)
            pooled = attend(linear(target, match), items, history, self.blocks)
            return target + linear(pooled, self.out.weight @ self.value.weight)


def attend(query: Tensor, items: Tensor, history: History, blocks: Blocks | None = None) -> Tensor:
    """pooled (B, D) of `query` (B, D) and the batch's distinct `items` (U, D), of one type."""
    return SparseAttentionPool.apply(query, items, history, blocks or Blocks())


class SparseAttentionPool(Function):
    """See the module docstring; T entries, B rows, U items.

    Shapes: query (B, D), items (U, D) -> pooled (B, D). Kept: score (T,).
    """

    @staticmethod
    def forward(ctx, query: Tensor, items: Tensor, history: History, blocks: Blocks) -> Tensor:
        query, items = query.contiguous(), items.contiguous()
        pooled = torch.empty_like(query)
        score = query.new_empty(len(history.position))
        _pool_rows[(len(query),)](
            query, items, history.position, history.offsets, score, pooled, **tile(query, blocks)
        )
        ctx.save_for_backward(query, items, score)
        ctx.history, ctx.blocks = history, blocks
        return pooled

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (query, items, score), history, blocks = ctx.saved_tensors, ctx.history, ctx.blocks
        grad = grad.contiguous()
        to_query, to_score = torch.empty_like(query), torch.empty_like(score)
        _grad_rows[(len(query),)](
            grad, items, history.position, history.offsets, score, to_score, to_query,
            **tile(query, blocks),
        )  # fmt: skip
        to_items = _grad_items(query, grad, history, score, to_score, len(items), blocks)
        return to_query, to_items, None, None


def tile(x: Tensor, blocks: Blocks) -> dict[str, int]:
    """The constants of a kernel over vectors as wide as those of `x` (N, D)."""
    width = x.shape[1]
    block = triton.next_power_of_2(width)
    return {"width": width, "block": block, "entries": blocks.entries, "num_warps": blocks.warps}


def _grad_items(
    query: Tensor,
    grad: Tensor,
    history: History,
    score: Tensor,
    to_score: Tensor,
    n_items: int,
    blocks: Blocks,
) -> Tensor:
    """The gradient (U, D) with respect to the items.

    Row u < U of `sums` is the first chunk of item u; the chunks beyond the items' first ones, at
    most T // chunk, follow in the order of their items.
    """
    order, position = history.by_item
    device, n_further = position.device, len(position) // blocks.chunk
    offsets = torch.searchsorted(position, torch.arange(n_items + 1, device=device))
    further = torch.zeros_like(offsets)  # (U + 1,): where each item's further chunks begin
    torch.cumsum((offsets.diff() - 1).clamp_(min=0) // blocks.chunk, 0, out=further[1:])
    every = torch.arange(n_further, device=device)
    owner = torch.searchsorted(further[1:], every, right=True).clamp_(max=n_items - 1)
    sums = query.new_empty(n_items + n_further, query.shape[1])
    constants = tile(query, blocks)
    _sum_chunks[(len(sums),)](
        query, grad, order, history.row, score, to_score, offsets, further, owner, sums, n_items,
        chunk=blocks.chunk, **constants,
    )  # fmt: skip
    _add_further_chunks[(n_items,)](further, sums, n_items, **constants)
    return sums[:n_items]


@triton.jit
def _vectors(table, index, wanted, column, width: tl.constexpr):
    """(entries, block): the rows `index` (entries,) of `table`; 0 where not `wanted`."""
    place = index[:, None] * width + column[None, :]
    return tl.load(table + place, mask=wanted[:, None] & (column < width)[None, :], other=0.0)


@triton.jit
def _pool_rows(
    query,
    items,
    position,
    offsets,
    score,
    pooled,
    width: tl.constexpr,
    block: tl.constexpr,
    entries: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    q = tl.load(query + row * width + column, mask=column < width, other=0.0)
    total = tl.full([block], 0.0, q.dtype)
    start, end = tl.load(offsets + row), tl.load(offsets + row + 1)
    while start < end:
        e = start + tl.arange(0, entries)
        real = e < end
        item = tl.load(position + e, mask=real, other=0)
        x = _vectors(items, item, real, column, width)
        s = tl.sum(x * q[None, :], axis=1)
        tl.store(score + e, s, mask=real)
        weight = tl.where(s <= 0, 0.0, s)
        total += tl.sum(weight[:, None] * x, axis=0)
        start += entries
    tl.store(pooled + row * width + column, total, mask=column < width)


@triton.jit
def _grad_rows(
    grad,
    items,
    position,
    offsets,
    score,
    to_score,
    to_query,
    width: tl.constexpr,
    block: tl.constexpr,
    entries: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    g = tl.load(grad + row * width + column, mask=column < width, other=0.0)
    total = tl.full([block], 0.0, g.dtype)
    start, end = tl.load(offsets + row), tl.load(offsets + row + 1)
    while start < end:
        e = start + tl.arange(0, entries)
        real = e < end
        s = tl.load(score + e, mask=real, other=0.0)
        active = s > 0
        item = tl.load(position + e, mask=active, other=0)
        x = _vectors(items, item, active, column, width)
        d = tl.sum(x * g[None, :], axis=1)  # 0 where not active
        tl.store(to_score + e, d, mask=real)
        total += tl.sum(d[:, None] * x, axis=0)
        start += entries
    tl.store(to_query + row * width + column, total, mask=column < width)


@triton.jit(do_not_specialize=["n_items"])
def _sum_chunks(
    query,
    grad,
    order,
    row,
    score,
    to_score,
    offsets,
    further,
    owner,
    sums,
    n_items,
    width: tl.constexpr,
    block: tl.constexpr,
    entries: tl.constexpr,
    chunk: tl.constexpr,
):
    number = tl.program_id(0).to(tl.int64)
    beyond = number - n_items  # number of a further chunk; negative for an item's first one
    item = tl.load(owner + beyond, mask=beyond >= 0, other=number)
    nth = tl.where(beyond >= 0, beyond - tl.load(further + item) + 1, 0)  # chunk of its item
    start = tl.load(offsets + item) + nth * chunk
    end = tl.minimum(start + chunk, tl.load(offsets + item + 1))  # before start in unused chunks
    column = tl.arange(0, block)
    total = tl.full([block], 0.0, sums.dtype.element_ty)
    while start < end:
        place = start + tl.arange(0, entries)
        e = tl.load(order + place, mask=place < end, other=0)
        s = tl.load(score + e, mask=place < end, other=0.0)
        active = s > 0
        d = tl.load(to_score + e, mask=active, other=0.0)
        b = tl.load(row + e, mask=active, other=0)
        g = _vectors(grad, b, active, column, width)
        q = _vectors(query, b, active, column, width)
        total += tl.sum(s[:, None] * g + d[:, None] * q, axis=0)
        start += entries
    tl.store(sums + number * width + column, total, mask=column < width)


@triton.jit(do_not_specialize=["n_items"])
def _add_further_chunks(
    further,
    sums,
    n_items,
    width: tl.constexpr,
    block: tl.constexpr,
    entries: tl.constexpr,
):
    item = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    start, end = tl.load(further + item), tl.load(further + item + 1)
    if start < end:
        total = tl.load(sums + item * width + column, mask=column < width, other=0.0)
        while start < end:
            place = start + tl.arange(0, entries)
            x = _vectors(sums, n_items + place, place < end, column, width)
            total += tl.sum(x, axis=0)
            start += entries
        tl.store(sums + item * width + column, total, mask=column < width)
