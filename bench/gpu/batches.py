"""Whether rows on the host and on disk give the batches that rows on the device give."""

import tempfile
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from bench.gpu.scale import Scale
from bench.tools import challenge_like
from models.batches.batch import Batch
from models.batches.disk_array import DiskArray
from models.batches.feed import batches_on_device
from models.batches.rows import COLUMNS, Rows
from models.batches.stream import StreamRows, min_memory


def batches_everywhere(scale: Scale) -> dict[str, bool]:
    """By where the rows lie: whether the batches are those of rows on the device."""
    device, size = scale.torch_device, scale.batch
    n_rows = min(scale.rows, 8 * size) - size // 3  # the last batch is smaller
    rows, label = challenge_like.rows(n_rows, 64, scale.items)
    expected = passed(rows.to(device), label.to(device), size, device, shuffled=True)
    host = passed(replace(rows, on_host=True), label, size, device, shuffled=True)
    in_order = passed(rows.to(device), label.to(device), size, device, shuffled=False)
    with tempfile.TemporaryDirectory() as folder:
        disk, disk_label = on_disk(rows, label, Path(folder), size)
        streamed = passed(disk, disk_label, size, device, shuffled=False)
    return {
        "on the host": same_batches(host, expected),
        "on disk": same_batches(streamed, in_order),
    }


def passed(rows, label, size: int, device: torch.device, shuffled: bool) -> list:
    """All batches of a pass over `rows`, with their labels, on `device`."""
    shuffle = torch.Generator().manual_seed(0) if shuffled else None
    return list(batches_on_device(rows, label, rows.plan(size, shuffle), device))


def same_batches(a: list[tuple[Batch, Tensor]], b: list[tuple[Batch, Tensor]]) -> bool:
    """Whether all tensors of the batches, and the labels, are equal and on the same device."""

    def tensors(pair: tuple[Batch, Tensor]) -> list[Tensor]:
        batch, label = pair
        parts = [getattr(part, f.name) for part in (batch, batch.history) for f in fields(part)]
        return [label, *(part for part in parts if isinstance(part, Tensor))]

    pairs = [zip(tensors(x), tensors(y), strict=True) for x, y in zip(a, b, strict=True)]
    return all(u.device == v.device and torch.equal(u, v) for pair in pairs for u, v in pair)


def on_disk(rows: Rows, label: Tensor, folder: Path, size: int) -> tuple[StreamRows, DiskArray]:
    """`rows` written to `folder` and mapped."""
    arrays = {name: getattr(rows, name) for name in (*COLUMNS, "values")}
    arrays["offsets"] = torch.cat((rows.begin[:1], rows.end))
    mapped = SimpleNamespace()
    for name, values in (arrays | {"label": label.byte()}).items():
        path = folder / f"{name}.npy"
        np.save(path, values.numpy(), allow_pickle=False)
        setattr(mapped, name, np.load(path, mmap_mode="r", allow_pickle=False))
    memory = min_memory(size, rows.max_len)
    disk = StreamRows.of_split(
        mapped, mapped.values, mapped.offsets, rows.n_items, rows.max_len, memory
    )
    return disk, DiskArray.of(mapped.label)
