"""Whether a column predicts the label better than it legitimately can.

A high AUC alone is no leak: popular items are clicked more, and a long history holds more that
matches. So a column is compared with an explanation p, the probability that LightGBM predicts from
columns that may legitimately predict the label:

    score     of a row: Σ (label - mean) / (n_v + PRIOR) over the n_v rows with the row's value v
    figure    AUC of the score, with an interval by resampled users
    expected  AUC that the same score would have if labels were draws from p; 1/2 without p
    finding   figure - WIDER (figure - low end of the interval) exceeds expected + MARGIN: with so
              many probes, the interval alone would lie above it by chance now and then

Scores and p are fitted on other users: within train on the other folds, for valid on train.

What explains which column:

    item_id         popularity and the row's levels. Popularity is counted in the histories, which
                    are clicks too but hold no row's label; it may only raise the probability of a
                    click. An item that is clicked in rows but rare in histories stays unexplained:
                    its rows were probably drawn from another population. An item that is in no
                    history at all is explained, so that it takes never_clicked to find such items
    level           popularity, likewise: levels are made from it
    never_clicked   popularity, where an item in no history counts as one with a single entry
    tag_order, content_sign    popularity, levels, number of tags and the item's own click rate in
                    other users' rows: the item table must not know more of this row than they do
    content_rate    the same, and the AUC of content_sign
    history_length  how well the target matches the history in content and tags, which may only
                    raise the probability: the longer the history, the better its best match
    row_history     what history_length, target_in_history, target_in_other_history and
                    near_duplicate look at
    user_id         the remainder that user_modulo looks at
    row_order       the user's number of rows
    the others      nothing

So popularity is explained however strong it is, and the threshold moves with it. MARGIN stands for
what the interval does not cover: p is never complete, and a smaller effect is not worth a line.
"""

from dataclasses import dataclass

import numpy as np

from cv.bootstrap import auc_interval

MARGIN = 0.02
WIDER = 1.5  # times the 95 % interval: three standard errors
MAX_SHARE = 0.01  # of rows or users that may be odd without a finding
PRIOR = 20.0  # rows
DRAWS = 200  # of the bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFigure:
    """A figure with its 95 % interval; a finding if it is far enough above `threshold`."""

    figure: float
    low: float
    high: float
    threshold: float

    @property
    def crossed(self) -> bool:
        return self.figure - WIDER * (self.figure - self.low) > self.threshold


def smoothed_label_means(
    value: np.ndarray, label: np.ndarray, fold: np.ndarray, others: list[np.ndarray]
) -> list[np.ndarray]:
    """The score of the module docstring: of N rows by the other folds; of other rows by all N.

    value, label (N,), fold (N,) int from 0; others: values (M,) of other rows. The score is 0 for a
    value that no row has from which it is fitted.
    """
    distinct, code = np.unique(value, return_inverse=True)
    n_folds = int(fold.max()) + 1
    cell, size = code * n_folds + fold, len(distinct) * n_folds
    clicks = np.bincount(cell, label, size).reshape(-1, n_folds)
    rows = np.bincount(cell, minlength=size).reshape(-1, n_folds)
    of_all = clicks.sum(1, keepdims=True), rows.sum(1, keepdims=True)
    by_folds = _smoothed(of_all[0] - clicks, of_all[1] - rows)
    by_all = _smoothed(*of_all)[:, 0]
    scores = [by_folds[code, fold]]
    for values in others:
        place = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
        scores.append(np.where(distinct[place] == values, by_all[place], 0.0))
    return scores


def _smoothed(clicks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The score from clicks and rows (V, K) of V values, for K ways to leave rows out."""
    mean = clicks.sum(0) / np.maximum(rows.sum(0), 1)
    return (clicks - mean * rows) / (rows + PRIOR)


def measure_auc(
    label: np.ndarray,
    score: np.ndarray,
    user: np.ndarray,
    p: np.ndarray | None = None,
    known: float = 0.5,
) -> ProbeFigure:
    """The AUC of `score` (N,); its threshold lies above `known` and, with p (N,), what p explains.

    known: an AUC that was found before, such as that of a simpler score.
    """
    figure, low, high = auc_interval(label, score, user, n=DRAWS)
    expected = known if p is None else max(expected_auc(score, p), known)
    return ProbeFigure(figure=figure, low=low, high=high, threshold=expected + MARGIN)


def expected_auc(score: np.ndarray, p: np.ndarray) -> float:
    """The AUC that `score` (N,) would have if labels were draws from p (N,); ties count half.

    E[positives above negatives] / E[pairs], over pairs of rows: a row is p of a positive and 1 - p
    of a negative.
    """
    _, group = np.unique(score, return_inverse=True)
    positive, negative = np.bincount(group, p), np.bincount(group, 1 - p)
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def measure_share(hit: np.ndarray, user: np.ndarray, threshold: float = MAX_SHARE) -> ProbeFigure:
    """The mean of `hit` (N,) bool, with an interval by resampled users."""
    _, group = np.unique(user, return_inverse=True)
    rows, hits = np.bincount(group), np.bincount(group, hit)
    rng, draws = np.random.default_rng(0), np.empty(DRAWS)
    for i in range(DRAWS):
        weight = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        draws[i] = weight @ hits / (weight @ rows)
    low, high = np.quantile(draws, [0.025, 0.975])
    return ProbeFigure(
        figure=float(np.mean(hit)), low=float(low), high=float(high), threshold=threshold
    )
