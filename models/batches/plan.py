"""The batches of one pass over rows in memory, as positions of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.batches.source import Shard


def plan_in_memory(
    n_rows: int,
    device: torch.device,
    batch_size: int,
    shuffle: torch.Generator | None = None,
    shard: Shard | None = None,
) -> Sequence[Tensor]:
    """Positions (B,) int64 on `device` of each batch; see models.batches.source.BatchSource.

    Without `shuffle`, `shard` takes one part of all rows; with it, one part of every batch.
    """
    if shuffle is None:
        positions = torch.arange(n_rows, device=device)
        return (positions if shard is None else shard(positions)).split(batch_size)
    batches = split(torch.randperm(n_rows, generator=shuffle).to(device), batch_size)
    return batches if shard is None else [shard(batch) for batch in batches]


def split(order: Tensor, batch_size: int) -> list[Tensor]:
    """`order` (N,) in batches; a last batch of a single row joins the one before, because batch
    norm cannot take it."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
