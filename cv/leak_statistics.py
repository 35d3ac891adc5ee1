"""Whether a column tells more of the label than it honestly can.

A high AUC alone is no leak: popular items are clicked more, and who watches much finds more that
matches. So a column is held against an explanation p, a probability by LightGBM on columns that may
honestly tell something, fitted on other users:

    score    of a row: Σ (label - mean) / (n_v + PRIOR) over the rows with its value v of the column
    figure   AUC of the score, its interval by resampled users
    honest   AUC that the same score would have if labels were draws from p; 1/2 without any p
    finding  where the low end of the interval exceeds honest + MARGIN

All of it is fitted on other users: on other folds within train, on train for valid.

What is honest for which column:

    item_id         popularity and the row's levels. Popularity is read from the histories, which
                    are clicks too but hold no row's label, and may speak only for what is clicked
                    more. What is clicked here but not there was drawn from elsewhere.
    level           popularity, likewise: levels are made of it
    history_length  how well the target matches the history in content and tags, which may speak
                    only for a click: the longer the history, the better its best match
    user_id, row_order, target_in_history    nothing

So popularity is explained however strong it is, and the threshold moves with it. MARGIN is for what
the interval does not cover: p is never complete, and a column that tells less is not worth a line.
"""

from dataclasses import dataclass

import numpy as np

from cv.bootstrap import auc_interval

MARGIN = 0.02
STRAYS = 0.01  # of a share
PRIOR = 20.0  # rows
DRAWS = 200  # of the bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFigure:
    """A figure with its 95 % interval, and what the low end must exceed to be a finding."""

    figure: float
    low: float
    high: float
    threshold: float

    @property
    def crossed(self) -> bool:
        return self.low > self.threshold


def smoothed_label_means(
    value: np.ndarray, label: np.ndarray, fold: np.ndarray, others: list[np.ndarray]
) -> list[np.ndarray]:
    """The score of the module docstring: of the N rows by the other folds, of others by all.

    value, label (N,), fold (N,) int from 0; others: values (M,) of further rows. 0 for a value that
    no such row has.
    """
    known, code = np.unique(value, return_inverse=True)
    n_folds = int(fold.max()) + 1
    cell, size = code * n_folds + fold, len(known) * n_folds
    clicks = np.bincount(cell, label, size).reshape(-1, n_folds)
    rows = np.bincount(cell, minlength=size).reshape(-1, n_folds)
    of_all = clicks.sum(1, keepdims=True), rows.sum(1, keepdims=True)
    by_folds = _smoothed(of_all[0] - clicks, of_all[1] - rows)
    by_all = _smoothed(*of_all)[:, 0]
    scores = [by_folds[code, fold]]
    for values in others:
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        scores.append(np.where(known[place] == values, by_all[place], 0.0))
    return scores


def _smoothed(clicks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The score by clicks and rows (V, K) of V values, for K ways to leave rows out."""
    mean = clicks.sum(0) / np.maximum(rows.sum(0), 1)
    return (clicks - mean * rows) / (rows + PRIOR)


def measure_auc(
    label: np.ndarray, score: np.ndarray, user: np.ndarray, p: np.ndarray | None = None
) -> ProbeFigure:
    """The AUC of `score` (N,), which must exceed 1/2 or, with p (N,), the AUC that p expects."""
    figure, low, high = auc_interval(label, score, user, n=DRAWS)
    honest = 0.5 if p is None else max(expected_auc(score, p), 0.5)
    return ProbeFigure(figure=figure, low=low, high=high, threshold=honest + MARGIN)


def expected_auc(score: np.ndarray, p: np.ndarray) -> float:
    """The AUC of `score` (N,) if every row were clicked with its probability p (N,), ties half.

    E[positives above negatives] / E[pairs], over pairs of rows: a row is p of a positive and 1 - p
    of a negative.
    """
    _, group = np.unique(score, return_inverse=True)
    positive, negative = np.bincount(group, p), np.bincount(group, 1 - p)
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def measure_share(hit: np.ndarray, user: np.ndarray) -> ProbeFigure:
    """The mean of `hit` (N,) bool, users resampled; a few strays are no finding."""
    _, group = np.unique(user, return_inverse=True)
    rows, hits = np.bincount(group), np.bincount(group, hit)
    rng, draws = np.random.default_rng(0), np.empty(DRAWS)
    for i in range(DRAWS):
        weight = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        draws[i] = weight @ hits / (weight @ rows)
    low, high = np.quantile(draws, [0.025, 0.975])
    return ProbeFigure(
        figure=float(np.mean(hit)), low=float(low), high=float(high), threshold=STRAYS
    )
