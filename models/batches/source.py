"""What training and prediction ask of rows, wherever they lie.

    models.batches.rows.Rows          in memory: on the network's device, or on the host
    models.batches.stream.StreamRows  on disk, read a window at a time
    models.fields.rows.FieldRows      in memory, for networks over fields

`fit` and `predict` need a BatchSource; a pipeline that cuts folds out of a split needs a RowSource.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from models.batches.disk_array import DiskArray

RowValues = Tensor | DiskArray  # (N,), a value per row; it is stored where the rows are
Mask = Callable[[Any], Any]  # values (M,) of a column, tensor or array -> (M,) bool
Shard = Callable[[Tensor], Tensor]  # positions (M,) -> those that this process works on


class NoSlates(ValueError):
    """These rows cannot be put into batches of whole slates."""


class BatchSource(Protocol):
    """Rows that can be cut into batches; len() counts them.

    on_host  whether batches are made in the host's memory and then copied to the network's device
    """

    on_host: bool

    def __len__(self) -> int: ...

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> Sequence:
        """The batches of one pass, which `read` makes: in random order to train, else as stored.

        A batch of training is never a single row, which batch norm cannot take. With `shard`, the
        batches hold one process's part of the rows.
        """

    def in_slates(self) -> "BatchSource":
        """The same rows, with batches of training that hold whole slates, the rows of equal user
        and history, and number them (models.batches.batch.Batch).

        Raises NoSlates where that cannot be, here or in `plan`.
        """

    def read(self, plan: Sequence, label: RowValues | None) -> Iterator[tuple[Any, Tensor | None]]:
        """Each batch of `plan` with its labels (B,) float, where the rows have `label` (N,)."""


class RowSource(BatchSource, Protocol):
    """The rows of one split, without their labels.

    Columns of the split, such as its labels and folds, are handed in: (N,) each.
    """

    def cut(self, max_len: int) -> "RowSource":
        """The same rows, with batches that hold the last `max_len` items of each history."""

    def with_columns(self, codes: np.ndarray | None) -> "RowSource":
        """The same rows beside the `codes` (N, C) uint8 of their columns; None for no columns.

        Codes of rows on disk are mapped, in C order, and of all rows of the split.
        """

    def codes(self) -> Iterator[Tensor]:
        """The codes of the rows' columns, in pieces (n, C) uint8."""

    def select(
        self, column: RowValues, mask: Mask, label: RowValues
    ) -> tuple["RowSource", RowValues]:
        """The rows whose value in `column` passes `mask`, and the `label` that belongs to them."""

    def selected(self, column: RowValues, mask: Mask) -> np.ndarray:
        """The positions (M,) int64 of the rows that `select` keeps, ascending."""

    def labels(self, label: RowValues) -> Tensor:
        """`label` of these rows, in memory: (N,) float32."""

    def load(self) -> "RowSource":
        """The same rows, in memory."""
