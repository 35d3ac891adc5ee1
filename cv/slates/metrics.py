"""How well scores rank the rows inside a group: of one user, or of one slate.

grouped_auc   GAUC: the AUC within each group, weighted by its rows; groups of one class have none.
              Zhou et al. 2018, "Deep interest network for click-through rate prediction", section
              6.2, weights a user by impressions.
clicked_first share of slates whose highest score belongs to a clicked row; equal scores share it
log_loss      of the softmax over each slate, nats: see cv.slates.softmax

Slates of one row and slates without a click count in neither of the last two.
"""

from typing import NamedTuple

import numpy as np

from cv.slates.softmax import SlateSoftmax


class SlateMetrics(NamedTuple):
    """Figures of labelled rows; NaN where no slate has anything to rank."""

    gauc: float  # within users
    clicked_first: float
    log_loss: float


def slate_metrics(
    label: np.ndarray, z: np.ndarray, user: np.ndarray, slate: np.ndarray
) -> SlateMetrics:
    """label (N,) 0 and 1, logits z (N,) float, user (N,) and slate (N,) int."""
    return SlateMetrics(
        gauc=grouped_auc(label, z, user),
        clicked_first=clicked_first(label, z, slate),
        log_loss=log_loss(label, z, slate),
    )


def grouped_auc(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> float:
    """The AUC within groups (N,), averaged with their numbers of rows as weights."""
    order = np.lexsort((score, group))
    label, score, group = np.asarray(label)[order], np.asarray(score)[order], group[order]
    begins = np.r_[True, group[1:] != group[:-1]]
    first, nth = np.flatnonzero(begins), np.cumsum(begins) - 1
    new = begins | np.r_[True, score[1:] != score[:-1]]
    tie = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    rank = (start + (np.diff(np.r_[start, len(score)]) + 1) / 2)[tie] - first[nth]  # mid-rank
    rows, clicks = np.bincount(nth), np.bincount(nth, label)
    pairs = clicks * (rows - clicks)
    above = np.bincount(nth, rank * label) - clicks * (clicks + 1) / 2
    mixed = pairs > 0
    if not mixed.any():
        return float("nan")
    return float(np.average(above[mixed] / pairs[mixed], weights=rows[mixed]))


def clicked_first(label: np.ndarray, score: np.ndarray, slate: np.ndarray) -> float:
    """See the module docstring; of s rows with the slate's highest score, each counts 1 / s."""
    nth, counted = _counted(label, slate)
    top = np.full(len(counted), -np.inf)
    np.maximum.at(top, nth, score)
    leads = score == top[nth]
    share = np.bincount(nth, leads * label, len(counted)) / np.bincount(nth, leads)
    return float(share[counted].mean()) if counted.any() else float("nan")


def log_loss(label: np.ndarray, z: np.ndarray, slate: np.ndarray) -> float:
    """See the module docstring."""
    return SlateSoftmax(label, slate).loss(z)


def _counted(label: np.ndarray, slate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each row's slate (N,), and which slates (S,) have a click and another row."""
    _, nth = np.unique(slate, return_inverse=True)
    return nth, (np.bincount(nth) > 1) & (np.bincount(nth, label) > 0)
