"""The first hidden layer of DIN's attention in training on a CPU, by entries that a cache holds.

    h_e = dropout(ReLU(W4 (t * s_e) + a_t + c_e))      t of the entry's row, s_e and c_e of its item

DinAttention.forward is the formula; a = (W1 + W3) t + b and c = (W2 - W3) s are its maps of rows
and of items. torch's operators would each read and write an array with a row for every entry of
every history. Here some rows of the batch, with all their entries, go through all operators (few
for one thread, more for several; models.layers.residual_product says why), and only h is kept for
the backward pass: it tells what ReLU and dropout let through. t * s is computed again.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from models.layers.dropout import drop_, dropped, may_draw_gaps
from models.layers.precision import is_rounded, linear
from models.layers.ragged import History, bags, bags_of_items

ROWS = 128  # of a batch, at 8 entries of 512 float32 numbers each: 2 MiB
ROWS_OF_THREADS = 2048


def rows_at_once() -> int:
    """How many rows of a batch go through the operators together."""
    return ROWS if torch.get_num_threads() == 1 else ROWS_OF_THREADS


def takes(x: Tensor, p: float, history: History) -> bool:
    """Whether `hidden` computes the layer on `x`, in training."""
    return may_draw_gaps(x, p) and not is_rounded(x) and len(history.row) > 0


def hidden(
    target: Tensor,
    items: Tensor,
    of_target: Tensor,
    of_item: Tensor,
    weight: Tensor,
    history: History,
    p: float,
) -> Tensor:
    """h (T, H) of the T > 0 entries of `history`.

    Shapes: target (B, D), items (U, D), of_target (B, H), of_item (U, H), weight (H, D)
    p  probability of dropout, at most models.layers.dropout.LARGEST
    """
    return _Hidden.apply(target, items, of_target, of_item, weight, history, p)


class _Hidden(Function):
    @staticmethod
    def forward(
        ctx: Any,
        target: Tensor,
        items: Tensor,
        of_target: Tensor,
        of_item: Tensor,
        weight: Tensor,
        history: History,
        p: float,
    ) -> Tensor:
        h = target.new_empty(len(history.row), len(weight))
        for _, entries, row, item, _ in _pieces(history):
            product = target.index_select(0, row).mul_(items.index_select(0, item))
            x = linear(product, weight).add_(of_target.index_select(0, row))
            F.relu_(x.add_(of_item.index_select(0, item)))
            torch.mul(x, 1 / (1 - p), out=h[entries])
        if p:
            drop_(h, dropped(h.numel(), p))
        ctx.save_for_backward(target, items, weight, h)
        ctx.history, ctx.scale = history, 1 / (1 - p)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (target, items, weight, h), history = ctx.saved_tensors, ctx.history
        to_target = torch.empty_like(target)
        to_of_target = target.new_empty(len(target), len(weight))
        to_x, by_item = torch.empty_like(h), target.new_empty(len(h), target.shape[1])
        to_weight = torch.zeros_like(weight)
        for rows, entries, row, item, offsets in _pieces(history):
            t, s = target.index_select(0, row), items.index_select(0, item)
            of_x = to_x[entries]
            of_x.copy_(torch.ops.aten.threshold_backward(grad[entries], h[entries], 0))
            of_x.mul_(ctx.scale)
            to_weight += linear(of_x.T.contiguous(), (t * s).T)
            to_product = linear(of_x, weight.T)
            torch.mul(to_product, t, out=by_item[entries])
            to_target[rows] = bags(to_product.mul_(s), offsets)
            to_of_target[rows] = bags(of_x, offsets)
        to_items = bags_of_items(by_item, history, len(items))
        to_of_item = bags_of_items(to_x, history, len(items))
        return to_target, to_items, to_of_target, to_of_item, to_weight, None, None


def _pieces(history: History) -> Iterator[tuple[slice, slice, Tensor, Tensor, Tensor]]:
    """Some rows at a time: the rows, their entries, each entry's row and item, and where the rows'
    entries begin and end among those of the piece."""
    n_rows, size = len(history.offsets) - 1, rows_at_once()
    ends = [*history.offsets[::size].tolist(), len(history.row)]
    for first, begin, end in zip(range(0, n_rows, size), ends, ends[1:], strict=False):
        rows, entries = slice(first, min(first + size, n_rows)), slice(begin, end)
        offsets = history.offsets[first : rows.stop + 1] - begin
        yield rows, entries, history.row[entries], history.position[entries], offsets
