"""Rows of fields: categorical values, as rows of their field's vocabulary, and numeric ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.batches.plan import plan_in_memory
from models.batches.source import NoSlates, Shard


@dataclass(frozen=True, slots=True)
class FieldRows:
    """Rows of M numeric and C categorical fields on one device, without labels; a batch is some.

    On the CPU both tensors may be mapped from files: a batch reads its own rows alone.

    Shapes:
        columns  (N, C) int32 or int64, rows of each field's own vocabulary: 0 padding, 1..V the
                 values seen in training, V + 1 all others
        numbers  (N, M) float32, the numeric fields' values; None where there is no such field
    """

    columns: Tensor
    numbers: Tensor | None = None

    on_host = False

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def device(self) -> torch.device:
        return self.columns.device

    def to(self, device: torch.device) -> "FieldRows":
        """The same rows on `device`; not copied where they are there."""
        numbers = None if self.numbers is None else self.numbers.to(device)
        return FieldRows(self.columns.to(device), numbers)

    def batch(self, index: Tensor) -> "FieldRows":
        """Rows `index` (B,) int64."""
        numbers = None if self.numbers is None else self.numbers.index_select(0, index)
        return FieldRows(self.columns.index_select(0, index), numbers)

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> Sequence[Tensor]:
        """Positions (B,) int64 of each batch; see models.batches.source.BatchSource."""
        return plan_in_memory(len(self), self.device, batch_size, shuffle, shard)

    def in_slates(self) -> "FieldRows":
        """Raises NoSlates: fields do not name a user or a history."""
        raise NoSlates("rows of fields have no slates")

    def read(
        self, plan: Sequence[Tensor], label: Tensor | None
    ) -> Iterator[tuple["FieldRows", Tensor | None]]:
        """Each batch of `plan`, and its part of `label` (N,)."""
        for index in plan:
            yield self.batch(index), None if label is None else label[index]
