"""What a network sees of some rows."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from models.layers.ragged import History


@dataclass(frozen=True, slots=True)
class Batch:
    """What a network sees of B rows; labels are not part of it.

    Shapes:
        items    (U,)  int64, ascending item ids that `target` and `history.position` point at;
                 the first one is always 0, the padding item
        target   (B,)  int64, position of the target among `items`
        user     (B,)  int64
        likes    (B,)  int64, level 0..10 of the row; views likewise
        history  see models.layers.ragged.History
        columns  (B, C)  uint8, codes of the columns of 30_features; None for networks that read
                 none (see models.layers.columns)
        slate    (B,)  int64, ascending from 0, the number of the row's slate; None in batches that
                 may cut slates
        weight   (B,)  float32, of the row in a loss that weighs rows; None where none does
    """

    items: Tensor
    target: Tensor
    user: Tensor
    likes: Tensor
    views: Tensor
    history: History
    columns: Tensor | None = None
    slate: Tensor | None = None
    weight: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; from pinned memory without waiting for the copy."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        history = tensors.pop("history")
        parts = (change(getattr(history, f.name)) for f in fields(history))
        changed = {k: None if v is None else change(v) for k, v in tensors.items()}
        return Batch(**changed, history=History(*parts))


class BatchCounts(NamedTuple):
    """T history entries and U distinct items of a batch."""

    n_entries: int
    n_distinct: int


class Located(NamedTuple):
    """Items of G batches of B rows; item i of batch g has the number g I + i, I = `n_items`.

    entries  (T,)  int64, number of each history entry
    row      (T,)  int64, the row of each entry among the G B
    offsets  (G B + 1,)  int64, where the entries of each row begin
    target   (G B,)  int64, number of each row's target
    seen     (G, I)  bool, the items of each batch, and item 0
    """

    entries: Tensor
    row: Tensor
    offsets: Tensor
    target: Tensor
    seen: Tensor
