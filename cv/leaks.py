"""Whether a column tells more of the label than it honestly can.

A high AUC alone is no leak: popular items are clicked more, and who watches much finds more that
matches. So a column is held against an explanation p, a probability by LightGBM on columns that may
honestly tell something, fitted on other users:

    r(v)     Σ (label - p) / (n_v + PRIOR)    over the rows whose value of the column is v
    figure   AUC of p(row) + r(value of the row)
    honest   AUC of p; 1/2 where nothing is honest: p is then the mean label
    finding  where the low end of the figure's interval exceeds honest + MARGIN

All sums are over other users: other folds within train, train for valid. The interval is that of
the paired difference to p, users resampled, moved by `honest`: what both share cancels.

What is honest for which column:

    item_id         popularity and the row's levels. Popularity is read from the histories, which
                    are clicks too but hold no row's label, and may speak only for what is clicked
                    more. What is clicked here but not there was drawn from elsewhere.
    level           popularity, likewise: levels are made of it
    history_length  how well the target matches the history in content and tags: the longer the
                    history, the better it can
    user_id, row_order, target_in_history    nothing

So popularity is explained however strong it is, and the threshold moves with it. MARGIN covers what
the interval does not, that an explanation by few trees is never complete.
"""

from dataclasses import dataclass

import numpy as np

from cv.auc import auc
from cv.bootstrap import auc_interval, paired_bootstrap

MARGIN = 0.02
STRAYS = 0.01  # of a share
PRIOR = 20.0  # rows
DRAWS = 200  # of the bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure with its 95 % interval, and what the low end must exceed to be a finding."""

    figure: float
    low: float
    high: float
    threshold: float

    @property
    def crossed(self) -> bool:
        return self.low > self.threshold


def by_value(
    value: np.ndarray, residual: np.ndarray, fold: np.ndarray, others: list[np.ndarray]
) -> list[np.ndarray]:
    """The mean residual of rows with the same value: of the N rows by the other folds, of others
    by all.

    value (N,), residual (N,) float64, fold (N,) int from 0; others: values (M,) of further rows.
    0 for a value that no such row has.
    """
    known, code = np.unique(value, return_inverse=True)
    cell, n_folds = code * (int(fold.max()) + 1) + fold, int(fold.max()) + 1
    size = len(known) * n_folds
    total = np.bincount(cell, residual, size).reshape(-1, n_folds)
    count = np.bincount(cell, minlength=size).reshape(-1, n_folds)
    sums, rows = total.sum(1, keepdims=True), count.sum(1, keepdims=True)
    mean = (sums - total) / (rows - count + PRIOR)
    everywhere = (sums / (rows + PRIOR))[:, 0]
    moves = [mean[code, fold]]
    for values in others:
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        moves.append(np.where(known[place] == values, everywhere[place], 0.0))
    return moves


def tells(
    label: np.ndarray, score: np.ndarray, user: np.ndarray, explained: np.ndarray | None = None
) -> Measured:
    """The AUC of `score` (N,), which must exceed 1/2 or the AUC of `explained` (N,)."""
    if explained is None:
        figure, low, high = auc_interval(label, score, user, n=DRAWS)
        return Measured(figure=figure, low=low, high=high, threshold=0.5 + MARGIN)
    honest = auc(label, explained)
    gain = paired_bootstrap(label, score, explained, user, n=DRAWS)
    figure, low, high = (honest + end for end in gain)
    return Measured(figure=figure, low=low, high=high, threshold=max(honest, 0.5) + MARGIN)


def share(hit: np.ndarray, user: np.ndarray) -> Measured:
    """The mean of `hit` (N,) bool, users resampled; a few strays are no finding."""
    _, group = np.unique(user, return_inverse=True)
    rows, hits = np.bincount(group), np.bincount(group, hit)
    rng, draws = np.random.default_rng(0), np.empty(DRAWS)
    for i in range(DRAWS):
        weight = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        draws[i] = weight @ hits / (weight @ rows)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Measured(figure=float(np.mean(hit)), low=float(low), high=float(high), threshold=STRAYS)
