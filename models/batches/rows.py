"""Rows in memory: every column is one tensor, and a batch is a slice of a permutation.

There is no loader, no worker and no padding. A batch lists its distinct items once; targets and
history entries point at them, so that a batch computes each item's representation once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batches.batch import Batch, BatchCounts, Located
from models.batches.plan import in_groups, numbered, plan_in_memory, plan_in_slates
from models.batches.source import Mask, Shard
from models.layers.ragged import History

COLUMNS = ("user", "item", "likes", "views", "history")
OPTIONAL = ("columns", "weight")  # of a row, too, where they are there
GROUP = 64  # batches that are made together on a GPU
GROUP_ITEMS = 1 << 23  # at most, in the arrays of a group that have a place for every item
GROUP_ENTRIES = 1 << 25  # at most, in the histories of a group, if all of them were full


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one split on one device, without their labels.

    Shapes:
        user     (N,)  int32
        item     (N,)  int32, target item id
        likes    (N,)  uint8; views likewise
        history  (N,)  int32, number of the row's history among H
        values   (S,)  int32, item ids of all histories, one after the other, oldest first
        begin    (H,)  int64, history h is values[begin[h] : end[h]]; end likewise
        weight   (N,)  float32, of the row in a loss that weighs rows; None where none does
        n_items  rows of the item table
        max_len  most recent history items that a batch holds
        columns  (N, C)  uint8, codes of the columns of 30_features; None where no network reads any
        on_host  whether the rows stay on the host and their batches are copied to the network's
                 device (models.batches.feed)
        slates   whether batches of training hold whole slates, and batches number them
    """

    user: Tensor
    item: Tensor
    likes: Tensor
    views: Tensor
    history: Tensor
    values: Tensor
    begin: Tensor
    end: Tensor
    n_items: int
    max_len: int
    columns: Tensor | None = None
    on_host: bool = False
    slates: bool = False
    weight: Tensor | None = None

    @classmethod
    def of_split(
        cls, split: Any, values: np.ndarray, offsets: np.ndarray, n_items: int, max_len: int
    ) -> "Rows":
        """The rows of a store's `split`, whose attributes COLUMNS names, and its histories."""
        arrays = {name: tensor(getattr(split, name)) for name in COLUMNS} | spans(tensor(offsets))
        return cls(**arrays, values=tensor(values), n_items=n_items, max_len=max_len)

    def beside(self, split: Any, begin: np.ndarray, end: np.ndarray) -> "Rows":
        """The rows of another `split`, whose histories (begin, end) are slices of these values."""
        columns = {name: getattr(split, name) for name in COLUMNS}
        arrays = {**columns, "begin": begin, "end": end}
        return replace(self, **{k: tensor(a).to(self.device) for k, a in arrays.items()})

    def __len__(self) -> int:
        return len(self.item)

    @property
    def device(self) -> torch.device:
        return self.item.device

    @property
    def n_bytes(self) -> int:
        """Bytes of the rows; `begin` and `end` may be views of one tensor."""
        tensors = (t for f in fields(self) if isinstance(t := getattr(self, f.name), Tensor))
        storages = (tensor.untyped_storage() for tensor in tensors)
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def to(self, device: torch.device | str) -> "Rows":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Rows(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})

    def take(self, index: Tensor) -> "Rows":
        """The rows `index` (M,) int64, on the same histories."""
        return replace(self, **{name: values[index] for name, values in self.of_rows().items()})

    def of_rows(self) -> dict[str, Tensor]:
        """What each row has a value of: COLUMNS, and of OPTIONAL what is there."""
        optional = [name for name in OPTIONAL if getattr(self, name) is not None]
        return {name: getattr(self, name) for name in (*COLUMNS, *optional)}

    def cut(self, max_len: int) -> "Rows":
        """The same rows, with batches that hold the last `max_len` items of each history."""
        return replace(self, max_len=max_len)

    def with_columns(self, codes: np.ndarray | None) -> "Rows":
        """See models.batches.source."""
        return replace(self, columns=None if codes is None else tensor(codes).to(self.device))

    def codes(self) -> Iterator[Tensor]:
        """See models.batches.source."""
        yield self.columns

    def in_slates(self) -> "Rows":
        """See models.batches.source."""
        return replace(self, slates=True)

    def slate_of(self, index: Tensor | slice) -> Tensor:
        """(B,) int64, equal for those of the rows `index` that share a slate."""
        return self.user[index].long() << 32 | self.history[index]

    def compact(self) -> "Rows":
        """The same rows, each with a history of its own, as far as a batch holds it."""
        every = torch.arange(len(self), device=self.device)
        values, _, offsets = self.entries(every, None)
        return replace(
            self,
            history=every.to(torch.int32),
            values=values.to(self.values.dtype),
            **spans(offsets),
        )

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> Sequence[Tensor]:
        """Positions (B,) int64 of each batch; see models.batches.source."""
        if self.slates and shuffle is not None:
            return plan_in_slates(self.slate_of(slice(None)), batch_size, shuffle, shard)
        return plan_in_memory(len(self), self.device, batch_size, shuffle, shard)

    def read(
        self, plan: Sequence[Tensor], label: Tensor | None
    ) -> Iterator[tuple[Batch, Tensor | None]]:
        """Each batch of `plan`, and its part of `label` (N,), which lies where the rows are.

        The host waits for a GPU twice, before the first batch.
        """
        groups = self.groups(plan)
        counts = repeat(None) if self.device.type == "cpu" else self.counts(groups)
        for group, counted in zip(groups, counts, strict=False):
            labels = repeat(None)
            if label is not None:
                labels = label[torch.cat(group)].view(len(group), -1).unbind()
            yield from zip(self.batches(group, counted), labels, strict=False)

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

    def batch(self, index: Tensor, counts: BatchCounts | None = None) -> Batch:
        """Rows `index` (B,) int64, each history cut to its last `max_len` items.

        counts  of the batch; where they are None, the host must wait for the device
        """
        (batch,) = self.batches([index], counts and [counts])
        return batch

    def groups(self, indices: Sequence[Tensor]) -> list[list[Tensor]]:
        """`indices` in runs of equal lengths, whose batches are made together.

        An operator costs the host of a GPU as much for a group as for one batch. On a CPU a group
        is one batch, which fits its caches. Large batches and item tables make smaller groups.
        """
        return in_groups(indices, self.group_size)

    def group_size(self, batch_size: int) -> int:
        """The most batches of `batch_size` rows that are made together."""
        if self.device.type == "cpu":
            return 1
        entries = max(batch_size * self.max_len, 1)
        return max(1, min(GROUP, GROUP_ITEMS // self.n_items, GROUP_ENTRIES // entries))

    def batches(
        self, group: Sequence[Tensor], counts: Sequence[BatchCounts] | None
    ) -> Iterator[Batch]:
        """The batches of a group, G times (B,) int64, as slices of tensors that they share.

        counts  of each batch; where they are None, G is 1, and the host must wait for the device

        The call makes these tensors; its own, which are larger, are free again before a step.
        """
        size, index = len(group[0]), torch.cat(tuple(group))
        found = self.located(group, counts and sum(c.n_entries for c in counts))
        if counts is None:
            items = found.seen.flatten().nonzero()
            counts = [BatchCounts(len(found.entries), len(items))]
        else:
            n_items = sum(c.n_distinct for c in counts)
            items = torch.nonzero_static(found.seen.flatten(), size=n_items)
        items = items.squeeze(1) % self.n_items
        nth = found.seen.cumsum(1, dtype=torch.int32).flatten()  # of its batch's items, from 1
        target, position = (nth[number].long() - 1 for number in (found.target, found.entries))
        row = found.row % max(size, 1)
        ends = torch.arange(size + 1, device=index.device)
        offsets = found.offsets[ends + size * torch.arange(len(group), device=ends.device)[:, None]]
        offsets = offsets - offsets[:, :1]
        columns = [c[index].long() for c in (self.user, self.likes, self.views)]
        of_rows = zip(*(c.view(len(group), size).unbind() for c in (target, *columns)), strict=True)
        item_parts = items.split([c.n_distinct for c in counts])
        n_entries = [c.n_entries for c in counts]
        histories = zip(position.split(n_entries), row.split(n_entries), offsets, strict=True)
        slates = numbered(self.slate_of(index).view(len(group), size)) if self.slates else None
        more = (self.in_group(self.columns, group), slates, self.in_group(self.weight, group))
        more = (repeat(None, len(group)) if values is None else values for values in more)
        parts = zip(item_parts, of_rows, histories, *more, strict=True)
        return (Batch(ids, *columns, History(*h), *more) for ids, columns, h, *more in parts)

    def in_group(self, values: Tensor | None, group: Sequence[Tensor]) -> Tensor | None:
        """The elements (G, B, ...) of `values` (N, ...), where there are any."""
        if values is None:
            return None
        return values[torch.cat(tuple(group))].view(len(group), len(group[0]), *values.shape[1:])

    def counts(self, groups: Sequence[Sequence[Tensor]]) -> list[list[BatchCounts]]:
        """BatchCounts of each batch of each group."""
        if not groups:
            return []
        n_entries, n_distinct = [], []
        for group in groups:
            length = self.lengths(self.history[torch.cat(tuple(group))].long())
            n_entries.append(length.view(len(group), -1).sum(1))
        n_entries = _lists(n_entries)
        for group, n in zip(groups, n_entries, strict=True):
            n_distinct.append(self.located(group, sum(n)).seen.sum(1))
        pairs = zip(n_entries, _lists(n_distinct), strict=True)
        return [list(map(BatchCounts, *pair)) for pair in pairs]

    def located(self, group: Sequence[Tensor], n_entries: int | None) -> Located:
        """The items of a group of batches; `n_entries` is T of the whole group."""
        index = torch.cat(tuple(group))
        entries, row, offsets = self.entries(index, n_entries)
        batch = torch.arange(len(index), device=index.device) // max(len(group[0]), 1)
        first = batch * self.n_items
        target, entries = self.item[index].long() + first, entries + first[row]
        seen = torch.zeros(len(group) * self.n_items, dtype=torch.bool, device=index.device)
        seen.index_fill_(0, target, True).index_fill_(0, entries, True)
        seen = seen.view(len(group), self.n_items)
        seen[:, 0] = True
        return Located(entries, row, offsets, target, seen)

    def entries(self, index: Tensor, n_entries: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """The last `max_len` history items of rows `index` (B,), T = `n_entries` in all.

        Returns item ids (T,), the row of each (T,), and where rows begin (B + 1,); all int64.
        """
        number = self.history[index].long()
        length = self.lengths(number)
        offsets = torch.zeros(len(index) + 1, dtype=torch.int64, device=index.device)
        torch.cumsum(length, 0, out=offsets[1:])
        row = torch.repeat_interleave(length, output_size=n_entries)
        first = self.end[number] - offsets[1:]
        position = torch.arange(len(row), device=index.device) + first[row]
        return self.values[position].long(), row, offsets

    def lengths(self, number: Tensor) -> Tensor:
        """Lengths (B,) int64 of the histories `number` (B,), as far as a batch holds them."""
        return (self.end[number] - self.begin[number]).clamp(max=self.max_len)


def _lists(parts: Sequence[Tensor]) -> list[list[int]]:
    """The values of each of `parts`; the host waits once for all of them."""
    values = iter(torch.cat(tuple(parts)).tolist())
    return [list(islice(values, len(part))) for part in parts]


def spans(offsets: Tensor) -> dict[str, Tensor]:
    """`begin` and `end` of histories that lie one after the other, from offsets (H + 1,)."""
    return {"begin": offsets[:-1], "end": offsets[1:]}


def tensor(array: np.ndarray) -> Tensor:
    """A copy as a tensor: mapped arrays are read-only, and torch wants memory that it may write."""
    return torch.from_numpy(np.array(array))
