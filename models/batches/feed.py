"""Batches on the network's device, from rows that lie there, on the host or on disk.

Rows on the device are sliced there, and nothing is copied. Rows on the host are sliced by a thread,
one batch ahead of the network, into pinned memory where the device is a GPU; the copy of a batch
overlaps with the work on the one before. The batches are the same, in the same order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from models.batches.prefetch import prefetch
from models.batches.source import BatchSource, RowValues


def batches_on_device(
    rows: BatchSource, label: RowValues | None, plan: Sequence, device: torch.device
) -> Iterator[tuple[Any, Tensor | None]]:
    """Each batch of `plan` and its labels (B,) float, on `device`.

    label  (N,), where the rows are
    """
    batches = rows.read(plan, label)
    if not rows.on_host:
        yield from batches
        return
    if device.type == "cuda":
        batches = map(_pin, batches)
    for batch, labels in prefetch(batches):
        labels = None if labels is None else labels.to(device, non_blocking=True)
        yield batch.to(device), labels


def _pin(pair: tuple[Any, Tensor | None]) -> tuple[Any, Tensor | None]:
    batch, labels = pair
    return batch.pin_memory(), None if labels is None else labels.pin_memory()
