"""Rows of a split joined to their history entries, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np

from features.store import Split, Store

BLOCK_ROWS = 20_000  # 20,000 rows of 8 entries of a 128-wide float32 vector: 80 MB


def blocks(store: Store, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (target (b,) int32, entries (t,) int32, starts (b + 1,) int64) for blocks of rows.

    Row r of the block has the history items entries[starts[r]:starts[r + 1]], oldest first.
    """
    for begin in range(0, len(split.item), BLOCK_ROWS):
        which = np.asarray(split.history[begin : begin + BLOCK_ROWS])
        length = store.offsets[which + 1] - store.offsets[which]
        starts = np.concatenate(([0], np.cumsum(length)))
        place = np.arange(starts[-1]) + np.repeat(store.offsets[which] - starts[:-1], length)
        yield np.asarray(split.item[begin : begin + BLOCK_ROWS]), store.values[place], starts


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
