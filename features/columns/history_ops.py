"""Values of a row's history entries, summed up into columns of the row.

Rows are joined to their entries in blocks. A value of every entry becomes four columns of the row:

    max     the largest            mean    the mean
    last    of the newest entry    recent  the mean weighted by 2^(-age / 3), the newest of age 0
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from features.longest_history import longest
from features.slices import places
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
    """Entries (t,) int32 of the histories `which` (b,), concatenated; starts (b + 1,) int64."""
    place, starts = places(store.offsets[which], store.offsets[which + 1])
    return store.values[place], starts


def of_users(
    store: Store, user: np.ndarray, history: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The longest history of each of U users, oldest first, among rows of `user` (N,).

    Returns the positions (U,) of its rows, by user, its entries (t,) int32, and the number of each
    entry's user (t,) int64, ascending.
    """
    one = longest(user, np.diff(store.offsets)[history])
    entries, starts = histories(store, history[one])
    return one, entries, np.repeat(np.arange(len(one)), np.diff(starts))


def columns(prefix: str) -> dict[str, pl.DataType]:
    """COLUMNS of `summary`."""
    return {f"{prefix}_{name}": pl.Float32 for name in SUMMARIES}


def summary(prefix: str, values: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """The four columns (b,) of `values` (t,) of the entries; NaN for a row without entries."""
    count = np.diff(starts)
    age = np.repeat(starts[1:], count) - 1 - np.arange(len(values))
    weight = np.exp2(-age / HALF_LIFE).astype(np.float32)
    summaries = (
        reduce(np.maximum, values, starts),
        reduce(np.add, values, starts) / np.maximum(count, 1),
        last(values, starts),
        reduce(np.add, weight * values, starts) / reduce(np.add, weight, starts),
    )
    return dict(zip(columns(prefix), summaries, strict=True))


def last(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The last of the `values` (t,) of each row: (b,) float32; NaN for a row without entries."""
    filled = starts[1:] > starts[:-1]
    out = np.full(len(filled), np.nan, np.float32)
    out[filled] = values[starts[1:][filled] - 1]
    return out


def reduce(ufunc: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`ufunc` over the `values` (t,) of each row: (b,) float32; NaN for a row without entries."""
    filled = starts[1:] > starts[:-1]
    out = np.full(len(filled), np.nan, np.float32)
    if filled.any():
        out[filled] = ufunc.reduceat(values, starts[:-1][filled])
    return out


def table(parts: list[dict[str, np.ndarray]], columns: dict) -> pl.DataFrame:
    """Blocks of `columns` one below the other; NaN becomes null."""
    return pl.concat(pl.DataFrame(part, schema=columns) for part in parts).fill_nan(None)
