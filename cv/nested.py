"""Nested scores of blenders, and the choice of one.

A blender is fitted on the out-of-fold rows of all folds but one, and scores that one, for each in
turn. The mean AUC over the folds chooses: of blenders closer than TIE, the simplest. One whose
scores are all equal in a fold, such as trees of too few rows to split, is not chosen.

A score that compares the rows of a slate needs whole slates wherever it is used, and what makes it
better is how the rows were collected. So such a blender is chosen only where it gains SLATE_GAIN
over the best of the others, and twice the standard error of that gain over the folds.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np

from cv.auc import auc
from cv.blenders.blender import Blender, Inputs
from cv.blenders.stacker import MANY_ROWS

TIE = 1e-5  # nested AUCs closer than this are equal: the simpler blend wins
SLATE_GAIN = 1e-3  # AUC


@dataclass(frozen=True, slots=True, kw_only=True)
class BlenderScore:
    """One blender, judged on rows that it was not fitted on.

    folds        AUC on each fold of the blender fitted on the other folds
    scores       (N,) float64, these scores; they compare within a fold
    weights      fitted on all rows: those of the submission
    ranks        whether the scores differ within every fold
    """

    name: str
    uses_slates: bool
    folds: tuple[float, ...]
    scores: np.ndarray
    weights: Any
    ranks: bool = True

    @property
    def mean(self) -> float:
        return float(np.mean(self.folds))


def compare(
    blenders: Iterable[Blender],
    inputs: Inputs,
    label: np.ndarray,
    fold: np.ndarray,
    user: np.ndarray,
) -> Iterator[BlenderScore]:
    """The score of every blender, in their order; the base of one stands before it.

    label, fold, user (N,). Raises ValueError for fewer than 2 folds. Folds of fewer than MANY_ROWS
    rows are fitted side by side, one for each core; each holds a copy of its rows.
    """
    held_out = [fold == k for k in np.unique(fold)]
    if len(held_out) < 2:
        raise ValueError(f"nested scores need at least 2 folds; got {len(held_out)}")
    train = [*(~rows for rows in held_out), np.full(len(label), True)]
    fitted: list[dict[str, Any]] = [{} for _ in train]  # outside each fold, then on all rows
    cores = (os.cpu_count() or 1) if len(label) < MANY_ROWS else 1
    with ThreadPool(cores) as pool:  # left at once when interrupted: its threads are daemons
        for blender in blenders:
            fit = partial(_fit_and_score, blender, inputs, label, user)
            *of_folds, _ = pool.starmap(fit, zip(fitted, train, strict=True), chunksize=1)
            scores = np.empty(len(label))
            for rows, of_fold in zip(held_out, of_folds, strict=True):
                scores[rows] = of_fold
            yield BlenderScore(
                name=blender.name,
                uses_slates=blender.uses_slates,
                folds=tuple(auc(label[rows], scores[rows]) for rows in held_out),
                scores=scores,
                weights=fitted[-1][blender.name],
                ranks=all(np.ptp(scores[rows]) > 0 for rows in held_out),
            )


def _fit_and_score(
    blender: Blender,
    inputs: Inputs,
    label: np.ndarray,
    user: np.ndarray,
    fitted: dict[str, Any],
    rows: np.ndarray,
) -> np.ndarray | None:
    """Add the blender, fitted on `rows`, to `fitted`; the scores of the other rows, if any."""
    if rows.all():
        fitted[blender.name] = blender.fit_after(fitted, inputs, label, user)
        return None
    weights = blender.fit_after(fitted, inputs.take(rows), label[rows], user[rows])
    fitted[blender.name] = weights
    return blender.predict(weights, inputs.take(~rows))


def winner(scores: list[BlenderScore]) -> BlenderScore:
    """The blender that the module docstring chooses; `scores` lie simplest first."""
    scores = [score for score in scores if score.ranks] or scores
    alone = _highest([score for score in scores if not score.uses_slates])
    with_slates = [score for score in scores if score.uses_slates]
    if not with_slates:
        return alone
    best = _highest(with_slates)
    gain = np.subtract(best.folds, alone.folds)
    needed = max(SLATE_GAIN, 2 * gain.std(ddof=1) / np.sqrt(len(gain)))
    return best if gain.mean() >= needed else alone


def _highest(scores: list[BlenderScore]) -> BlenderScore:
    highest = max(score.mean for score in scores)
    return next(score for score in scores if score.mean > highest - TIE)
