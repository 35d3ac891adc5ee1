"""Rows of several parts as one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from models.batches.rows import Rows, spans


def join(parts: Sequence[Rows]) -> Rows:
    """The rows of `parts`, one part after the other, on one device.

    All parts have columns, or none has; weights likewise. Parts on the same `values` go on sharing
    them; otherwise those are copied, one after the other.
    """
    columns = {name: torch.cat([p.of_rows()[name] for p in parts]) for name in parts[0].of_rows()}
    number = _starts(len(part.begin) for part in parts)
    columns["history"] = torch.cat([p.history + n for p, n in zip(parts, number, strict=True)])
    values, first = parts[0].values, [0] * len(parts)
    if any(part.values is not values for part in parts):
        values = torch.cat([part.values for part in parts])
        first = _starts(len(part.values) for part in parts)
    begin, end = (
        torch.cat([getattr(p, name) + n for p, n in zip(parts, first, strict=True)])
        for name in ("begin", "end")
    )
    return replace(parts[0], **columns, values=values, **_shared(begin, end))


def _starts(lengths: Iterable[int]) -> list[int]:
    """Where each part begins."""
    return list(accumulate(lengths, initial=0))[:-1]


def _shared(begin: Tensor, end: Tensor) -> dict[str, Tensor]:
    """`begin` and `end`, as views of one tensor where each history begins at the end of another."""
    if torch.equal(begin[1:], end[:-1]):
        return spans(torch.cat((begin[:1], end)))
    return {"begin": begin, "end": end}
