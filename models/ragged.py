"""Attention over ragged histories: one query a row, real entries only.

    dot       score_e = query[row(e)] . items[position(e)]
    pool      out_b   = sum of weight_e items[position(e)] over the entries e of row b
    softmax   over the entries of each row

Together they are the whole of single-query attention: no history entry is projected, copied per
slot or padded.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
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


def dot(query: Tensor, items: Tensor, history: History) -> Tensor:
    """Scores (T,) of `query` (B, D) against the history's `items` (U, D)."""
    return (query[history.row] * items[history.position]).sum(-1)


def pool(weight: Tensor, items: Tensor, history: History) -> Tensor:
    """(B, D): the sum of `items` (U, D) times `weight` (T,) over each row's entries; 0 if empty."""
    return F.embedding_bag(
        history.position,
        items,
        history.offsets,
        mode="sum",
        per_sample_weights=weight,
        include_last_offset=True,
    )


def softmax(score: Tensor, history: History) -> Tensor:
    """(T,): `score` (T,) normalised over the entries of each row."""
    n_rows = len(history.offsets) - 1
    highest = score.new_full((n_rows,), float("-inf"))
    highest = highest.scatter_reduce(0, history.row, score.detach(), "amax")
    unnormalised = (score - highest[history.row]).exp()
    total = score.new_zeros(n_rows).index_add(0, history.row, unnormalised)
    return unnormalised / total[history.row]
