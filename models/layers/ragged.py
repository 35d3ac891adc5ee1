"""Attention over ragged histories: one query per row, real entries only.

    dot       score_e = query[row(e)] . items[position(e)]
    pool      out_b   = sum of weight_e items[position(e)] over the entries e of row b
    softmax   over the entries of each row
    of_rows   x[row(e)],  of_items  x[position(e)]

Together they are the whole of single-query attention: no history entry is projected, copied per
slot or padded; `dot` and `pool` do not even gather the entries. A bag is a sum of weighted rows of
a table, as in torch.nn.EmbeddingBag. The gradient of a pool with respect to its weights is a dot,
that of a dot with respect to its query a pool, and with respect to the items both are a bag of the
rows whose histories hold the item.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class History:
    """The histories of a batch, oldest entry first.

    Shapes:
        position  (T,)  int64, index of the entry among the batch's distinct items
        row       (T,)  int64, ascending, the row of the batch that the entry belongs to
        offsets   (B + 1,)  int64, where each row's entries begin and the last one's end
    """

    position: Tensor
    row: Tensor
    offsets: Tensor

    @cached_property
    def by_item(self) -> tuple[Tensor, Tensor]:
        """The entries (T,) sorted by position, and their positions (T,): all gradients with respect
        to the items share them."""
        position, order = self.position.sort(stable=True)
        return order, position

    @cached_property
    def age(self) -> Tensor:
        """(T,) int64: how many entries of its row are newer than the entry; 0 for the newest."""
        entry = torch.arange(len(self.row), device=self.row.device)
        return self.offsets[self.row + 1] - 1 - entry


def dot(query: Tensor, items: Tensor, history: History) -> Tensor:
    """Scores (T,) of `query` (B, D) against the history's `items` (U, D)."""
    return _Dot.apply(query, items, history)


def pool(weight: Tensor, items: Tensor, history: History) -> Tensor:
    """(B, D): the sum of `items` (U, D) times `weight` (T,) over each row's entries; 0 if empty."""
    return _Pool.apply(weight, items, history)


def of_rows(x: Tensor, history: History) -> Tensor:
    """(T, D): for each entry, its row's `x` (B, D)."""
    return _OfRows.apply(x, history)


def of_items(x: Tensor, history: History) -> Tensor:
    """(T, D): for each entry, its item's `x` (U, D)."""
    return _OfItems.apply(x, history)


def softmax(score: Tensor, history: History) -> Tensor:
    """(T,): `score` (T,) normalised over the entries of each row."""
    n_rows = len(history.offsets) - 1
    highest = score.new_full((n_rows,), float("-inf"))
    highest = highest.scatter_reduce(0, history.row, score.detach(), "amax")
    unnormalised = (score - highest[history.row]).exp()
    total = score.new_zeros(n_rows).index_add(0, history.row, unnormalised)
    return unnormalised / total[history.row]


class _Dot(Function):
    @staticmethod
    def forward(ctx, query: Tensor, items: Tensor, history: History) -> Tensor:
        ctx.save_for_backward(query, items)
        ctx.history = history
        return _dots(query, items, history)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (query, items), history = ctx.saved_tensors, ctx.history
        to_query = _bags(items, history.position, history.offsets, grad)
        return to_query, _bags_by_item(query, history, grad, len(items)), None


class _Pool(Function):
    @staticmethod
    def forward(ctx, weight: Tensor, items: Tensor, history: History) -> Tensor:
        ctx.save_for_backward(weight, items)
        ctx.history = history
        return _bags(items, history.position, history.offsets, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (weight, items), history = ctx.saved_tensors, ctx.history
        to_weight = _dots(grad, items, history) if ctx.needs_input_grad[0] else None
        return to_weight, _bags_by_item(grad, history, weight, len(items)), None


class _OfRows(Function):
    @staticmethod
    def forward(ctx, x: Tensor, history: History) -> Tensor:
        ctx.history = history
        return x.index_select(0, history.row)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return bags(grad, ctx.history.offsets), None


class _OfItems(Function):
    @staticmethod
    def forward(ctx, x: Tensor, history: History) -> Tensor:
        ctx.history, ctx.n_items = history, len(x)
        return x.index_select(0, history.position)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return bags_of_items(grad, ctx.history, ctx.n_items), None


def bags(x: Tensor, offsets: Tensor) -> Tensor:
    """(N, D): the sums of the rows offsets[n] .. offsets[n + 1] of `x` (T, D), without gradient."""
    return _bags(x, torch.arange(len(x), device=x.device), offsets)


def bags_of_items(x: Tensor, history: History, n_items: int) -> Tensor:
    """(n_items, D): for each item, the sum of `x` (T, D) over its entries, without gradient."""
    return _bags(x, *_by_item(history, n_items))


def _bags(table: Tensor, index: Tensor, offsets: Tensor, weight: Tensor | None = None) -> Tensor:
    """(N, D): for each bag, the sum of the rows `index` (T,) of `table`, times `weight` (T,); the
    N + 1 `offsets` are where bags begin and the last one ends."""
    return F.embedding_bag(
        index,
        table,
        offsets,
        mode="sum",
        per_sample_weights=weight,
        include_last_offset=True,
    )


def _dots(query: Tensor, items: Tensor, history: History) -> Tensor:
    """(query[row] * items[position]).sum(1), in one kernel and without gathering (T, D).

    The kernel is torch's gradient of embedding_bag with respect to per_sample_weights, which the
    public API does not offer; tests/models/layers/test_interest.py holds it against the formula.
    """
    starts, mode_sum, no_padding = history.offsets[:-1], 0, -1
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        query, items, history.position, starts, history.row, mode_sum, no_padding
    )


def _bags_by_item(x: Tensor, history: History, weight: Tensor, n_items: int) -> Tensor:
    """(n_items, D): for each item, the weighted sum of `x` (B, D) over the entries that hold it."""
    order, offsets = _by_item(history, n_items)
    return _bags(x, history.row[order], offsets, weight[order])


def _by_item(history: History, n_items: int) -> tuple[Tensor, Tensor]:
    """The entries sorted by item (T,), and the offsets (n_items + 1,) of each item's entries."""
    order, position = history.by_item
    every = torch.arange(n_items + 1, device=position.device)
    return order, torch.searchsorted(position, every)
