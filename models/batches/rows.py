"""Rows in memory: every column is one tensor, and a batch is a slice of a permutation.

There is no loader, no worker and no padding. A batch lists its distinct items once; targets and
history entries point at them, so that a batch computes each item's representation once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.batches.plan import plan_in_memory
from models.batches.source import Mask, Shard
from models.layers.ragged import History

COLUMNS = ("user", "item", "likes", "views", "history")


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
    """

    items: Tensor
    target: Tensor
    user: Tensor
    likes: Tensor
    views: Tensor
    history: History

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; from pinned memory without waiting for the copy."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        history = tensors.pop("history")
        parts = (change(getattr(history, f.name)) for f in fields(history))
        return Batch(**{k: change(v) for k, v in tensors.items()}, history=History(*parts))


class BatchCounts(NamedTuple):
    """T history entries and U distinct items of a batch."""

    n_entries: int
    n_distinct: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one split on one device, without their labels.

    Shapes:
        user     (N,)  int32
        item     (N,)  int32, target item id
        likes    (N,)  uint8; views likewise
        history  (N,)  int32, number of the row's history among H
        values   (S,)  int32, item ids of all histories, one after the other, oldest first
        offsets  (H + 1,)  int64, where each history begins
        n_items  rows of the item table
        max_len  most recent history items that a batch holds
        on_host  whether the rows stay on the host and their batches are copied to the network's
                 device (models.batches.feed)
    """

    user: Tensor
    item: Tensor
    likes: Tensor
    views: Tensor
    history: Tensor
    values: Tensor
    offsets: Tensor
    n_items: int
    max_len: int
    on_host: bool = False

    @classmethod
    def of_split(
        cls, split: Any, values: np.ndarray, offsets: np.ndarray, n_items: int, max_len: int
    ) -> "Rows":
        """The rows of a store's `split`, whose attributes COLUMNS names, and its histories."""
        columns = {name: tensor(getattr(split, name)) for name in COLUMNS}
        histories = {"values": tensor(values), "offsets": tensor(offsets)}
        return cls(**columns, **histories, n_items=n_items, max_len=max_len)

    def __len__(self) -> int:
        return len(self.item)

    @property
    def device(self) -> torch.device:
        return self.item.device

    @property
    def n_bytes(self) -> int:
        tensors = (getattr(self, f.name) for f in fields(self))
        return sum(t.nbytes for t in tensors if isinstance(t, Tensor))

    def to(self, device: torch.device | str) -> "Rows":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Rows(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})

    def take(self, index: Tensor) -> "Rows":
        """The rows `index` (M,) int64, on the same histories."""
        columns = {name: getattr(self, name)[index] for name in COLUMNS}
        return replace(self, **columns)

    def cut(self, max_len: int) -> "Rows":
        """The same rows, with batches that hold the last `max_len` items of each history."""
        return replace(self, max_len=max_len)

    def compact(self) -> "Rows":
        """The same rows, each with a history of its own, as far as a batch holds it."""
        every = torch.arange(len(self), device=self.device)
        values, _, offsets = self.entries(every, None)
        return replace(
            self,
            history=every.to(torch.int32),
            values=values.to(self.values.dtype),
            offsets=offsets,
        )

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> Sequence[Tensor]:
        """Positions (B,) int64 of each batch; see models.batches.source."""
        return plan_in_memory(len(self), self.device, batch_size, shuffle, shard)

    def read(
        self, plan: Sequence[Tensor], label: Tensor | None
    ) -> Iterator[tuple[Batch, Tensor | None]]:
        """Each batch of `plan`, and its part of `label` (N,), which lies where the rows are."""
        for index, batch in zip(plan, self.batches(plan), strict=True):
            yield batch, None if label is None else label[index]

    def select(self, column: Tensor, mask: Mask, label: Tensor) -> tuple["Rows", Tensor]:
        """See models.batches.source."""
        index = mask(column).nonzero().squeeze(1)
        return self.take(index), label[index]

    def selected(self, column: Tensor, mask: Mask) -> np.ndarray:
        return mask(column).nonzero().squeeze(1).cpu().numpy()

    def labels(self, label: Tensor) -> Tensor:
        return label

    def load(self) -> "Rows":
        return self

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Batch]:
        """`batch` of each of `indices`. The host waits for a GPU twice, before the first one."""
        counts = repeat(None) if self.device.type == "cpu" else self.counts(indices)
        return map(self.batch, indices, counts)

    def batch(self, index: Tensor, counts: BatchCounts | None = None) -> Batch:
        """Rows `index` (B,) int64, each history cut to its last `max_len` items.

        counts  of the batch; where they are None, the host must wait for the device
        """
        entries, row, offsets = self.entries(index, counts and counts.n_entries)
        target = self.item[index].long()
        seen = self.seen(target, entries)
        items = torch.nonzero_static(seen, size=counts.n_distinct) if counts else seen.nonzero()
        items = items.squeeze(1)
        position = torch.empty(self.n_items, dtype=torch.int64, device=index.device)
        position[items] = torch.arange(len(items), device=index.device)
        user, likes, views = (c[index].long() for c in (self.user, self.likes, self.views))
        return Batch(
            items, position[target], user, likes, views, History(position[entries], row, offsets)
        )

    def counts(self, indices: Sequence[Tensor]) -> list[BatchCounts]:
        """BatchCounts of the batch of each of `indices`."""
        lengths = [self.lengths(self.history[index].long()).sum() for index in indices]
        n_entries, n_distinct = torch.stack(lengths).tolist(), []
        for index, n in zip(indices, n_entries, strict=True):
            entries, _, _ = self.entries(index, n)
            n_distinct.append(self.seen(self.item[index].long(), entries).sum())
        return list(map(BatchCounts, n_entries, torch.stack(n_distinct).tolist()))

    def entries(self, index: Tensor, n_entries: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """The last `max_len` history items of rows `index` (B,), T = `n_entries` in all.

        Returns item ids (T,), the row of each (T,), and where rows begin (B + 1,); all int64.
        """
        number = self.history[index].long()
        length = self.lengths(number)
        offsets = torch.zeros(len(index) + 1, dtype=torch.int64, device=index.device)
        torch.cumsum(length, 0, out=offsets[1:])
        row = torch.repeat_interleave(length, output_size=n_entries)
        first = self.offsets[number + 1] - offsets[1:]
        position = torch.arange(len(row), device=index.device) + first[row]
        return self.values[position].long(), row, offsets

    def lengths(self, number: Tensor) -> Tensor:
        """Lengths (B,) int64 of the histories `number` (B,), as far as a batch holds them."""
        return (self.offsets[number + 1] - self.offsets[number]).clamp(max=self.max_len)

    def seen(self, target: Tensor, entries: Tensor) -> Tensor:
        """(I,) bool: the items of a batch of `target` (B,) and `entries` (T,), and item 0."""
        seen = torch.zeros(self.n_items, dtype=torch.bool, device=target.device)
        seen[0] = True
        seen[target] = True
        seen[entries] = True
        return seen


def join(parts: Sequence[Rows]) -> Rows:
    """The rows of `parts`, which are of one store, one part after the other."""
    columns = {name: torch.cat([getattr(part, name) for part in parts]) for name in COLUMNS}
    number = accumulate((len(part.offsets) - 1 for part in parts), initial=0)
    begin = accumulate((len(part.values) for part in parts), initial=0)
    columns["history"] = torch.cat(
        [part.history + n for part, n in zip(parts, number, strict=False)]
    )
    offsets = [part.offsets[1:] + n for part, n in zip(parts, begin, strict=False)]
    values = torch.cat([part.values for part in parts])
    return replace(
        parts[0], **columns, values=values, offsets=torch.cat([parts[0].offsets[:1], *offsets])
    )


def tensor(array: np.ndarray) -> Tensor:
    """A copy as a tensor: mapped arrays are read-only, and torch wants memory that it may write."""
    return torch.from_numpy(np.array(array))
