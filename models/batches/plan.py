"""The batches of one pass over rows in memory, as positions of rows."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from models.batches.source import NoSlates, Shard


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


def plan_in_slates(
    slate: Tensor, batch_size: int, shuffle: torch.Generator, shard: Shard | None = None
) -> Sequence[Tensor]:
    """Positions (B,) int64 of each batch of whole slates, which come in random order.

    A batch ends with the slate that fills it to `batch_size` rows. Rows of a slate stay in order.

    slate  (N,) int64, equal where rows share a slate
    Raises NoSlates where no two rows do, and for a `shard`, which would cut slates.
    """
    if shard is not None:
        raise NoSlates("one process makes batches of slates: train without torchrun")
    _, number, size = torch.unique(slate, return_inverse=True, return_counts=True)
    if len(size) == len(slate):
        raise NoSlates("no two rows share a user and a history, so that there are no slates")
    order = torch.randperm(len(size), generator=shuffle).to(slate.device)
    ends, sizes, n_taken = size[order].cumsum(0).cpu(), [], 0
    while n_taken < len(slate):
        last = min(int(torch.searchsorted(ends, n_taken + batch_size)), len(ends) - 1)
        sizes.append(int(ends[last]) - n_taken)
        n_taken = int(ends[last])
    return split(order.argsort()[number].argsort(stable=True), sizes)


def in_groups(batches: Sequence[Tensor], most: Callable[[int], int]) -> list[list[Tensor]]:
    """`batches` in runs of equal lengths, of at most `most(length)` batches each."""
    groups = []
    for size, run in groupby(batches, key=len):
        n, equal = most(size), list(run)
        groups += [equal[i : i + n] for i in range(0, len(equal), n)]
    return groups


def numbered(slates: Tensor) -> Sequence[Tensor]:
    """`slates` (G, B) of G batches, from 0 in each, where equal ones are neighbours: G times (B,)
    int64."""
    begins = torch.zeros_like(slates)
    begins[:, 1:] = slates[:, 1:] != slates[:, :-1]
    return begins.cumsum(1).unbind()


def split(order: Tensor, batch_size: int | list[int]) -> list[Tensor]:
    """`order` (N,) in batches; a last batch of a single row joins the one before, because batch
    norm cannot take it."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
