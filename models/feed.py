"""Batches on the network's device, from rows that lie there or that stay on the host.

Rows on the device are sliced there, and nothing is copied. Rows that stay on the host (see
`Rows.on_host`) are sliced by a thread, one batch ahead of the network, into pinned memory where the
device is a GPU, and copied while the batch before is worked on. The batches are the same, in the
same order.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


def feed(
    rows: Any, label: Tensor | None, batches: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[Any, Tensor | None]]:
    """A batch of `rows` and its labels, on `device`, for each tensor of row positions.

    Shapes: label (N,), where the rows are; each of `batches` (B,) int64, likewise
    """
    if not getattr(rows, "on_host", False):
        for index, batch in zip(batches, rows.batches(batches), strict=True):
            yield batch, None if label is None else label[index]
        return
    pinned = device.type == "cuda"

    def slice_of(index: Tensor) -> tuple[Any, Tensor | None]:
        batch, labels = rows.batch(index), None if label is None else label[index]
        if not pinned:
            return batch, labels
        return batch.pin_memory(), None if labels is None else labels.pin_memory()

    with ThreadPoolExecutor(1) as thread:
        ahead = None
        for index in batches:
            sliced, ahead = ahead, thread.submit(slice_of, index)
            if sliced is not None:
                yield _moved(sliced.result(), device)
        if ahead is not None:
            yield _moved(ahead.result(), device)


def _moved(sliced: tuple[Any, Tensor | None], device: torch.device) -> tuple[Any, Tensor | None]:
    batch, labels = sliced
    labels = None if labels is None else labels.to(device, non_blocking=True)
    return batch.to(device), labels
