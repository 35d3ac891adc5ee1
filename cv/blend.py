"""Blending of logits: linear weights over models, fitted on OOF rows and judged by nested folds.

    best_single     the one model with the highest AUC
    rank_mean       mean of ranks, (rank - 1/2) / n within the set that is scored, mid-ranks on ties
    logit_mean      mean of logits
    hill_climbing   logit mean over models picked greedily, with replacement, by AUC (Caruana et al.
                    2004, "Ensemble selection from libraries of models", ICML)

A blender is `fit(logits, label) -> weights` and `predict(weights, logits) -> score`; nothing else
looks inside the weights, so a stacker that fits something larger takes the same place. Logits are
(N, M) float64, one column a model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from cv.auc import auc

TIE = 1e-5  # nested AUCs closer than this are equal: the simpler blend wins
STEPS = 20  # models that hill climbing may pick
GAIN = 1e-6  # AUC that a pick must add; less is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Blender:
    """One way to make one score of M logits."""

    name: str
    fit: Callable[[np.ndarray, np.ndarray], Any]  # logits (N, M), label (N,) -> weights
    predict: Callable[[Any, np.ndarray], np.ndarray]  # weights, logits (n, M) -> score (n,)
    to_probability: Callable[[np.ndarray], np.ndarray] = expit  # score (n,) -> [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedScore:
    """AUC on each fold of a blend that was fitted on the others; sd is the sample's (n - 1)."""

    mean: float
    sd: float
    folds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One blender: its nested score, and its weights fitted on every row, to be shipped."""

    name: str
    mean: float
    sd: float
    folds: tuple[float, ...]
    weights: Any


def as_matrix(logits: Mapping[str, np.ndarray] | np.ndarray) -> np.ndarray:
    """Columns of logits as (N, M) float64. Raises ValueError when one is not finite."""
    columns = list(logits.values()) if isinstance(logits, Mapping) else logits.T
    matrix = np.stack([np.asarray(column, np.float64) for column in columns]).T
    n_bad = int((~np.isfinite(matrix)).sum())
    if n_bad:
        raise ValueError(f"logits must be finite; got {n_bad} NaN or infinite of {matrix.size}")
    return matrix


def nested(
    blender: Blender,
    logits: Mapping[str, np.ndarray] | np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
) -> NestedScore:
    """For every fold: fit on the other folds' OOF rows, score on that fold.

    logits {name: (N,)} or (N, M); label (N,); fold (N,). Raises ValueError for fewer than 2 folds.
    """
    matrix, label, fold = as_matrix(logits), np.asarray(label), np.asarray(fold)
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"nested scores need at least 2 folds; got {len(folds)}")
    scores = []
    for k in folds:
        held_out = fold == k
        weights = blender.fit(matrix[~held_out], label[~held_out])
        scores.append(auc(label[held_out], blender.predict(weights, matrix[held_out])))
    return NestedScore(
        mean=float(np.mean(scores)), sd=float(np.std(scores, ddof=1)), folds=tuple(scores)
    )


def _best_single(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1])[np.argmax([auc(label, column) for column in logits.T])]


def _equal(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.full(logits.shape[1], 1 / logits.shape[1])


def _hill_climb(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Shares (M,) of the picks, starting from the best single model."""
    picks = _best_single(logits, label)
    best = auc(label, logits @ picks)
    for _ in range(STEPS - 1):
        total = logits @ picks  # the sum ranks rows as the mean does
        candidates = [auc(label, total + column) for column in logits.T]
        choice = int(np.argmax(candidates))
        if candidates[choice] < best + GAIN:
            break
        best = candidates[choice]
        picks[choice] += 1
    return picks / picks.sum()


def _weighted(weights: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return logits @ weights


def _weighted_ranks(weights: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return (rankdata(logits, axis=0) - 0.5) / len(logits) @ weights


def _unchanged(score: np.ndarray) -> np.ndarray:
    return score


BEST_SINGLE = Blender(name="best_single", fit=_best_single, predict=_weighted)
RANK_MEAN = Blender(
    name="rank_mean", fit=_equal, predict=_weighted_ranks, to_probability=_unchanged
)
LOGIT_MEAN = Blender(name="logit_mean", fit=_equal, predict=_weighted)
HILL_CLIMBING = Blender(name="hill_climbing", fit=_hill_climb, predict=_weighted)
BLENDERS = (BEST_SINGLE, RANK_MEAN, LOGIT_MEAN, HILL_CLIMBING)  # simplest first


def compare(
    logits: Mapping[str, np.ndarray] | np.ndarray, label: np.ndarray, fold: np.ndarray
) -> list[Row]:
    """A row for each of `BLENDERS`, in that order. Arguments and errors as `nested`."""
    matrix, rows = as_matrix(logits), []
    for blender in BLENDERS:
        score = nested(blender, matrix, label, fold)
        weights = blender.fit(matrix, np.asarray(label))
        rows.append(
            Row(
                name=blender.name,
                mean=score.mean,
                sd=score.sd,
                folds=score.folds,
                weights=weights,
            )
        )
    return rows


def winner(rows: list[Row]) -> Row:
    """The simplest row (rows: simplest first) whose nested mean lies within TIE of the highest."""
    highest = max(row.mean for row in rows)
    return next(row for row in rows if row.mean > highest - TIE)
