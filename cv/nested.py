"""Nested scores of blenders, and the choice of one.

A blender is fitted on the out-of-fold rows of all folds but one, and scores that one, for each in
turn. The mean AUC over the folds chooses: of blenders closer than TIE, the simplest. One whose
scores are all equal in a fold, such as trees of too few rows to split, is not chosen.

A score that compares the rows of a slate needs whole slates wherever it is used, and what makes it
better is how the rows were collected. So such a blender is chosen only where it gains SLATE_GAIN
over the best of the others, and where the gain's 95 % interval over the folds, by Student's t, lies
above 0: of two folds, whose gains may agree by chance, that asks for much.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

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
    rows are fitted side by side, one for each core.
    """
    held_out = [fold == k for k in np.unique(fold)]
    if len(held_out) < 2:
        raise ValueError(f"nested scores need at least 2 folds; got {len(held_out)}")
    train = [*(~rows for rows in held_out), np.full(len(label), True)]
    parts = [_Part(rows, {}, {}) for rows in train]  # outside each fold, then all rows
    cores = (os.cpu_count() or 1) if len(label) < MANY_ROWS else 1
    with ThreadPool(cores) as pool:  # left at once when interrupted: its threads are daemons
        for blender in blenders:
            fit = partial(_fit_and_score, blender, inputs, label, user)
            *of_folds, _ = pool.map(fit, parts, chunksize=1)
            scores = np.empty(len(label))
            for rows, of_fold in zip(held_out, of_folds, strict=True):
                scores[rows] = of_fold
            yield BlenderScore(
                name=blender.name,
                uses_slates=blender.uses_slates,
                folds=tuple(auc(label[rows], scores[rows]) for rows in held_out),
                scores=scores,
                weights=parts[-1].fitted[blender.name],
                ranks=all(np.ptp(scores[rows]) > 0 for rows in held_out),
            )


class _Part(NamedTuple):
    """Rows that blenders are fitted on, and what they gave.

    rows    (N,) bool
    fitted  weights by blender; scored: the scores of the other rows
    """

    rows: np.ndarray
    fitted: dict[str, Any]
    scored: dict[str, np.ndarray]


def _fit_and_score(
    blender: Blender, inputs: Inputs, label: np.ndarray, user: np.ndarray, part: _Part
) -> np.ndarray | None:
    """Add the blender, fitted on the rows of `part`; the scores of the other rows, if any."""
    rows, whole = part.rows, part.rows.all()
    taken = inputs if whole else inputs.take(rows)
    weights = blender.fit_after(part.fitted, taken, label[rows], user[rows])
    part.fitted[blender.name] = weights
    if whole:
        return None
    score = blender.predict_after(part.scored, weights, inputs.take(~rows))
    part.scored[blender.name] = score
    return score


def winner(scores: list[BlenderScore]) -> BlenderScore:
    """The blender that the module docstring chooses; `scores` lie simplest first."""
    scores = [score for score in scores if score.ranks] or scores
    alone = _highest([score for score in scores if not score.uses_slates])
    with_slates = [score for score in scores if score.uses_slates]
    if not with_slates:
        return alone
    best = _highest(with_slates)
    gain = np.subtract(best.folds, alone.folds)
    margin = student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
    needed = max(SLATE_GAIN, margin)
    return best if gain.mean() >= needed else alone


def _highest(scores: list[BlenderScore]) -> BlenderScore:
    highest = max(score.mean for score in scores)
    return next(score for score in scores if score.mean > highest - TIE)
