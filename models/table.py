"""Rows on the device: every column is one tensor, a batch is a slice of a permutation.

No loader, no worker, no padding. A batch lists its distinct items once; targets and history
entries point at them, so that each item's representation is computed once a batch.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from models.ragged import History

COLUMNS = ("item", "likes", "views", "history")


@dataclass(frozen=True, slots=True)
class Batch:
    """What a network sees of B rows. Labels are not among it.

    Shapes:
        items    (U,)  int64, item ids that `target` and `history.position` point at
        target   (B,)  int64, position of the target among `items`
        likes    (B,)  int64, level 0..10 of the row; views likewise
        history  see History
    """

    items: Tensor
    target: Tensor
    likes: Tensor
    views: Tensor
    history: History


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one split on one device, without their labels.

    Shapes:
        item     (N,)  int32, target item id
        likes    (N,)  uint8; views likewise
        history  (N,)  int32, which of the H histories
        values   (S,)  int32, item ids of all histories, one after the other, oldest first
        offsets  (H + 1,)  int64, where each history begins
        n_items  rows of the item table
    """

    item: Tensor
    likes: Tensor
    views: Tensor
    history: Tensor
    values: Tensor
    offsets: Tensor
    n_items: int

    def __len__(self) -> int:
        return len(self.item)

    def to(self, device: torch.device | str) -> "Rows":
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Rows(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})

    def take(self, index: Tensor) -> "Rows":
        """The rows `index` (M,) int64, on the same histories."""
        columns = {name: getattr(self, name)[index] for name in COLUMNS}
        return replace(self, **columns)

    def entries(self, index: Tensor, max_len: int) -> tuple[Tensor, Tensor, Tensor]:
        """The last `max_len` history items of rows `index` (B,).

        Returns item ids (T,), the row of each (T,), and where rows begin (B + 1,); all int64.
        """
        which = self.history[index].long()
        end = self.offsets[which + 1]
        length = (end - self.offsets[which]).clamp(max=max_len)
        offsets = torch.zeros(len(index) + 1, dtype=torch.int64, device=index.device)
        torch.cumsum(length, 0, out=offsets[1:])
        row = torch.repeat_interleave(length)
        place = torch.arange(len(row), device=index.device) + (end - offsets[1:])[row]
        return self.values[place].long(), row, offsets

    def batch(self, index: Tensor, max_len: int) -> Batch:
        """Rows `index` (B,) int64, each history cut to its last `max_len` items."""
        entries, row, offsets = self.entries(index, max_len)
        target = self.item[index].long()
        seen = torch.zeros(self.n_items, dtype=torch.bool, device=index.device)
        seen[target] = True
        seen[entries] = True
        items = seen.nonzero().squeeze(1)
        place = torch.empty(self.n_items, dtype=torch.int64, device=index.device)
        place[items] = torch.arange(len(items), device=index.device)
        history = History(place[entries], row, offsets)
        return Batch(items, place[target], *self._levels(index), history)

    def batch_of_all_items(self, index: Tensor, max_len: int) -> Batch:
        """Like `batch`, with the whole item table as `items`: positions are item ids."""
        entries, row, offsets = self.entries(index, max_len)
        items = torch.arange(self.n_items, device=index.device)
        history = History(entries, row, offsets)
        return Batch(items, self.item[index].long(), *self._levels(index), history)

    def _levels(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.likes[index].long(), self.views[index].long()


def rows(split, values: np.ndarray, offsets: np.ndarray, n_items: int) -> Rows:
    """Rows of a store's `split` (arrays item, likes, views, history) and its histories."""
    columns = {name: _tensor(getattr(split, name)) for name in COLUMNS}
    return Rows(**columns, values=_tensor(values), offsets=_tensor(offsets), n_items=n_items)


def _tensor(array: np.ndarray) -> Tensor:
    """A copy: mapped arrays are read-only, and torch wants memory that it may write."""
    return torch.from_numpy(np.array(array))
