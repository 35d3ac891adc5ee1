"""Batches on the network's device, from rows that lie there, on the host or on disk.

Rows on the device are sliced there, and nothing is copied. Rows that stay on the host (see
`Rows.on_host`) are sliced by a thread, one batch ahead of the network, into pinned memory where the
device is a GPU, and copied while the batch before is worked on. The batches are the same, in the
same order.
Rows on disk (models.batches.stream) are read into memory a window ahead, and from there on are
such rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from models.batches.disk_array import DiskArray
from models.batches.prefetch import prefetch
from models.batches.stream import Order, StreamRows


def batches_on_device(
    rows: Any,
    label: Tensor | DiskArray | None,
    batches: Sequence[Tensor] | Order,
    device: torch.device,
) -> Iterator[tuple[Any, Tensor | None]]:
    """A batch of `rows` and its labels, on `device`, for each of `batches`.

    label    (N,), where the rows are: a Column for rows on disk
    batches  positions of rows (B,) int64, likewise; of rows on disk, their Order
    """
    if not getattr(rows, "on_host", False):
        for index, batch in zip(batches, rows.batches(batches), strict=True):
            yield batch, None if label is None else label[index]
        return
    pinned = device.type == "cuda"

    def slice_of(part: tuple[Any, Tensor | None, Tensor]) -> tuple[Any, Tensor | None]:
        rows, label, index = part
        batch, labels = rows.batch(index), None if label is None else label[index]
        if not pinned:
            return batch, labels
        return batch.pin_memory(), None if labels is None else labels.pin_memory()

    if isinstance(rows, StreamRows):
        parts = rows.read(batches, label)
    else:
        parts = ((rows, label, index) for index in batches)
    for batch, labels in prefetch(map(slice_of, parts)):
        labels = None if labels is None else labels.to(device, non_blocking=True)
        yield batch.to(device), labels
