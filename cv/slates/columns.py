"""Columns of a row beside those of the other rows of its slate, for trees.

    <column>_over_best   value - highest value of the slate's other rows

NaN where the value or all others are NaN, and for a row that stands alone.
"""

import numpy as np


def names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The names of what `over_best` returns."""
    return tuple(f"{column}_over_best" for column in columns)


def over_best(columns: np.ndarray, slate: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """(N, C) float32 from `columns` (N, C) float32 of rows in slates (N,) int64.

    It is `out`, where that is given.
    """
    order = np.argsort(slate, kind="stable")
    begins = np.r_[True, slate[order][1:] != slate[order][:-1]]
    first, nth = np.flatnonzero(begins), np.cumsum(begins) - 1
    beside = np.empty(columns.shape, np.float32) if out is None else out
    for c, column in enumerate(columns.T):
        value = column[order]
        beside[order, c] = value - _best_of_others(value, first, nth)
    return beside


def _best_of_others(value: np.ndarray, first: np.ndarray, nth: np.ndarray) -> np.ndarray:
    """For one row with the highest value the second highest; for every other the highest."""
    filled = np.where(np.isnan(value), -np.inf, value)
    best = np.maximum.reduceat(filled, first)
    rows = np.arange(len(value))
    leader = np.minimum.reduceat(np.where(filled == best[nth], rows, len(value)), first)
    without = filled.copy()
    without[leader] = -np.inf
    second = np.maximum.reduceat(without, first)
    others = np.where(rows == leader[nth], second[nth], best[nth])
    return np.where(np.isinf(others), np.nan, others)
