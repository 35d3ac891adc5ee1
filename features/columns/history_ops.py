"""Rows of a split joined to their history entries, a block of rows at a time, and summed up again.

A value of every entry becomes four of the row:

    max     the largest            mean    the mean
    last    of the newest entry    recent  the mean weighted by 2^(-age / 3), the newest of age 0
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from features.store.store import Split, Store

BLOCK_ROWS = 20_000  # 20,000 rows of 8 entries of a 128-wide float32 vector: 80 MB
HALF_LIFE = 3  # entries
SUMMARIES = ("max", "mean", "last", "recent")


def blocks(store: Store, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (target (b,) int32, entries (t,) int32, starts (b + 1,) int64) for blocks of rows.

    Row r of the block has the history items entries[starts[r]:starts[r + 1]], oldest first.
    """
    for begin in range(0, len(split.item), BLOCK_ROWS):
        which = np.asarray(split.history[begin : begin + BLOCK_ROWS])
        entries, starts = histories(store, which)
        yield np.asarray(split.item[begin : begin + BLOCK_ROWS]), entries, starts


def histories(store: Store, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (t,) int32 of the histories `which` (b,), one after the other; starts (b + 1,)."""
    length = store.offsets[which + 1] - store.offsets[which]
    starts = np.concatenate(([0], np.cumsum(length)))
    place = np.arange(starts[-1]) + np.repeat(store.offsets[which] - starts[:-1], length)
    return store.values[place], starts


def columns(prefix: str) -> dict[str, pl.DataType]:
    """Names and types of `summary`."""
    return {f"{prefix}_{name}": pl.Float32 for name in SUMMARIES}


def summary(prefix: str, values: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """`values` (t,) of the entries of each row (b,), summed up; NaN for an empty row."""
    count = np.diff(starts)
    age = np.repeat(starts[1:], count) - 1 - np.arange(len(values))
    weight = np.exp2(-age / HALF_LIFE).astype(np.float32)
    found = (
        reduce(np.maximum, values, starts),
        reduce(np.add, values, starts) / np.maximum(count, 1),
        last(values, starts),
        reduce(np.add, weight * values, starts) / reduce(np.add, weight, starts),
    )
    return dict(zip(columns(prefix), found, strict=True))


def last(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The last of `values` (t,) in each row (b,); NaN for an empty row."""
    filled = starts[1:] > starts[:-1]
    out = np.full(len(filled), np.nan, np.float32)
    out[filled] = values[starts[1:][filled] - 1]
    return out


def reduce(ufunc: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`ufunc` over `values` (t,) of each row (b,) float32; NaN for an empty row."""
    filled = starts[1:] > starts[:-1]
    out = np.full(len(filled), np.nan, np.float32)
    if filled.any():
        out[filled] = ufunc.reduceat(values, starts[:-1][filled])
    return out


def table(parts: list[dict[str, np.ndarray]], promised: dict) -> pl.DataFrame:
    """Blocks of columns, one under the other; what is NaN becomes null."""
    return pl.concat(pl.DataFrame(part, schema=promised) for part in parts).fill_nan(None)
