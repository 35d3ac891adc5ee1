"""Percentile bootstrap of an AUC and of the difference between two, resampling whole users.

A replicate draws as many groups as there are, with replacement; a row counts as often as its group
was drawn. Each score is sorted once; then a replicate's AUC is a cumulative sum and two look-ups
per positive: with C the cumulative weight of the sorted negatives, and [lo, hi) the negatives whose
score equals that of positive i,

    AUC_w = Σ_i w_i (C[lo_i] + C[hi_i]) / 2 / (W_positive W_negative)

Both scores of a pair see the same draws, so that their common noise cancels. Replicates without
both classes have no AUC and are drawn again. Efron & Tibshirani 1993, "An Introduction to the
Bootstrap", chapter 13.

Hand-written, because scipy.stats.bootstrap resamples rows and not whole users, and would sort all
scores again for every replicate.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cv.auc import auc


class BootstrapInterval(NamedTuple):
    """A value on all rows, and the 2.5 % and 97.5 % quantiles of its replicates."""

    estimate: float  # AUC(a) - AUC(b), or the AUC of the one score
    low: float
    high: float


class _Sorted:
    """One score, sorted once. A call with integer weights (G,) of the groups returns its AUC."""

    def __init__(self, label: np.ndarray, score: np.ndarray, group: np.ndarray) -> None:
        order = np.argsort(score, kind="stable")
        positive, negative = order[label[order] == 1], order[label[order] != 1]
        self.lo = np.searchsorted(score[negative], score[positive], "left")
        self.hi = np.searchsorted(score[negative], score[positive], "right")
        self.positive, self.negative = group[positive], group[negative]

    def __call__(self, weight: np.ndarray) -> float:
        w = weight[self.positive].astype(np.int64)
        below = np.zeros(len(self.negative) + 1, np.int64)
        np.cumsum(weight[self.negative], out=below[1:])
        return int(w @ (below[self.lo] + below[self.hi])) / (2 * int(w.sum()) * int(below[-1]))


def paired_bootstrap(
    label: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    group: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> BootstrapInterval:
    """AUC(a) - AUC(b) with its 95 % interval.

    label, a, b, group: (N,); `group` holds user ids (None: every row is its own group).
    The interval is about these two scores: what another training would give is not in it
    (cv/trainings.py). Raises ValueError as `auc` does: shapes, NaN, labels, one class only.
    """
    estimate = auc(label, a) - auc(label, b)
    draws = auc_replicates(label, (a, b), group, n, seed)
    return percentile_interval(estimate, draws[:, 0] - draws[:, 1])


def auc_interval(
    label: np.ndarray,
    score: np.ndarray,
    group: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> BootstrapInterval:
    """AUC(score) with its 95 % interval; arguments and errors as `paired_bootstrap`."""
    estimate = auc(label, score)
    draws = auc_replicates(label, (score,), group, n, seed)
    return percentile_interval(estimate, draws[:, 0])


def percentile_interval(estimate: float, draws: np.ndarray) -> BootstrapInterval:
    """`estimate` between the 2.5 % and 97.5 % quantiles of its replicates `draws`."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return BootstrapInterval(estimate, float(low), float(high))


def auc_replicates(
    label: np.ndarray,
    scores: Sequence[np.ndarray],
    group: np.ndarray | None,
    n: int,
    seed: int,
) -> np.ndarray:
    """AUCs (n, number of scores) float64: one row per replicate, whose draws all scores share.

    Without a check: `label` must hold both classes, else no replicate has an AUC.
    """
    group = np.arange(len(label)) if group is None else np.unique(group, return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    n_positive = np.bincount(group, weights=label == 1, minlength=n_groups)
    n_negative = np.bincount(group, minlength=n_groups) - n_positive
    sorted_scores = [_Sorted(label, score, group.astype(np.int32)) for score in scores]
    rng = np.random.default_rng(seed)
    draws = np.empty((n, len(scores)))
    for i in range(n):
        weight = _draw(rng, n_groups)
        while not (weight @ n_positive and weight @ n_negative):
            weight = _draw(rng, n_groups)
        draws[i] = [auc_of(weight) for auc_of in sorted_scores]
    return draws


def _draw(rng: np.random.Generator, n_groups: int) -> np.ndarray:
    return np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups).astype(np.int32)
