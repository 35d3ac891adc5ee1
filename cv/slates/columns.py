"""Columns of a row beside those of the other rows of its slate, for trees.

    <column>_over_best   value - highest value of the slate's other rows
    <column>_over_mean   value - mean of the slate's other rows

NaN where the value or all others are NaN, and for a row that stands alone.
"""

import numpy as np

ENDINGS = ("_over_best", "_over_mean")


def names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The names of what `beside_others` returns."""
    return tuple(column + ending for ending in ENDINGS for column in columns)


def beside_others(columns: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """(N, 2 C) float32 from `columns` (N, C) float32 of rows in slates (N,) int64."""
    order = np.argsort(slate, kind="stable")
    inverse = np.argsort(order, kind="stable")
    begins = np.r_[True, slate[order][1:] != slate[order][:-1]]
    first, nth = np.flatnonzero(begins), np.cumsum(begins) - 1
    beside = np.empty((len(columns), 2 * columns.shape[1]), np.float32)
    for c, column in enumerate(columns.T):
        value = column[order]
        over_best = value - _best_of_others(value, first, nth)
        over_mean = value - _mean_of_others(value, first, nth)
        beside[:, c] = over_best[inverse]
        beside[:, columns.shape[1] + c] = over_mean[inverse]
    return beside


def _best_of_others(value: np.ndarray, first: np.ndarray, nth: np.ndarray) -> np.ndarray:
    """For the one row with the highest value the second highest; for every other the highest."""
    filled = np.where(np.isnan(value), -np.inf, value)
    best = np.maximum.reduceat(filled, first)
    rows = np.arange(len(value))
    leader = np.minimum.reduceat(np.where(filled == best[nth], rows, len(value)), first)
    without = filled.copy()
    without[leader] = -np.inf
    second = np.maximum.reduceat(without, first)
    others = np.where(rows == leader[nth], second[nth], best[nth])
    return np.where(np.isinf(others), np.nan, others)


def _mean_of_others(value: np.ndarray, first: np.ndarray, nth: np.ndarray) -> np.ndarray:
    known = ~np.isnan(value)
    filled = np.where(known, value, 0).astype(np.float64)
    total = np.add.reduceat(filled, first)[nth] - filled
    count = np.add.reduceat(known.astype(np.int64), first)[nth] - known
    return np.divide(total, count, out=np.full(len(value), np.nan), where=count > 0)
