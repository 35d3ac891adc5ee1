"""Blenders make one score of several models' logits: fitted on out-of-fold rows, scored nested.

    best_single     the one model with the highest AUC
    rank_mean       mean of ranks, (rank - 1/2) / n within the set that is scored, mid-ranks on ties
    logit_mean      mean of logits
    hill_climbing   mean of logits over models picked greedily, with replacement, by AUC (Caruana et
                    al. 2004, "Ensemble selection from libraries of models", ICML)
    logistic        logistic regression on the logits, L2 with scikit-learn's strength C = 1
    features_only   LightGBM on tabular features, no network at all
    lightgbm        LightGBM on the logits and the features (Wolpert 1992, "Stacked generalization")

To add a blender: a `Blender` below, one entry in BLENDERS_BY_NAME, its name among the choices of
`blend.method` (`BlenderName` in pipeline/config/settings.py), a line above, and a row in
docs/blending.md. tests/cv/test_blend.py checks every blender and compares the names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from cv import stacker
from cv.auc import auc

TIE = 1e-5  # nested AUCs closer than this are equal: the simpler blend wins
STEPS = 20  # at most so many picks of hill climbing
GAIN = 1e-6  # AUC that a pick must add; less is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a blender may read of N rows, by M models and F features; NaN features are unknown.

    logits    (N, M) float64, finite; columns in the order of `models`
    features  (N, F) float32; columns in the order of `names`
    """

    models: tuple[str, ...]
    logits: np.ndarray
    names: tuple[str, ...] = ()
    features: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def of(
        cls, logits: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray] | None = None
    ) -> "Inputs":
        """From columns {name: (N,)}. Raises ValueError if a logit is not finite."""
        matrix = np.stack([np.asarray(column, np.float64) for column in logits.values()], 1)
        n_bad = int((~np.isfinite(matrix)).sum())
        if n_bad:
            raise ValueError(f"logits must be finite; got {n_bad} NaN or infinite of {matrix.size}")
        features = features or {}
        table = np.empty((len(matrix), len(features)), np.float32)
        for i, column in enumerate(features.values()):
            table[:, i] = column
        return cls(models=tuple(logits), logits=matrix, names=tuple(features), features=table)

    def take(self, rows: np.ndarray) -> "Inputs":
        """The rows of which `rows` is the mask, or the indices."""
        return Inputs(
            models=self.models,
            logits=self.logits[rows],
            names=self.names,
            features=self.features[rows],
        )

    def __len__(self) -> int:
        return len(self.logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blender:
    """One way to make one score of M logits and F features.

    fit             inputs, label (N,), user (N,) -> weights: an array with a number per model (M,)
                    and perhaps an intercept (M + 1,), or a model as text; only `predict` reads them
    predict         weights, inputs of n rows -> score (n,) float64
    to_probability  score (n,) -> [0, 1], in the same order
    """

    name: str
    fit: Callable[[Inputs, np.ndarray, np.ndarray], Any]
    predict: Callable[[Any, Inputs], np.ndarray]
    to_probability: Callable[[np.ndarray], np.ndarray] = expit


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedScore:
    """AUC on each fold of a blender fitted on the other folds; sd has n - 1 in its denominator."""

    mean: float
    sd: float
    folds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlenderScore:
    """One blender: its nested score, and its weights fitted on all rows, which are submitted."""

    name: str
    mean: float
    sd: float
    folds: tuple[float, ...]
    weights: Any


def nested(
    blender: Blender, inputs: Inputs, label: np.ndarray, fold: np.ndarray, user: np.ndarray
) -> NestedScore:
    """Fit on the out-of-fold rows of the other folds, score on each fold in turn.

    label, fold, user (N,). Raises ValueError for fewer than 2 folds.
    """
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"nested scores need at least 2 folds; got {len(folds)}")
    scores = []
    for k in folds:
        held_out = fold == k
        weights = blender.fit(inputs.take(~held_out), label[~held_out], user[~held_out])
        score = blender.predict(weights, inputs.take(held_out))
        scores.append(auc(label[held_out], score))
    return NestedScore(
        mean=float(np.mean(scores)), sd=float(np.std(scores, ddof=1)), folds=tuple(scores)
    )


def _best_single(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> np.ndarray:
    aucs = [auc(label, column) for column in inputs.logits.T]
    return np.eye(len(inputs.models))[np.argmax(aucs)]


def _equal(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> np.ndarray:
    return np.full(len(inputs.models), 1 / len(inputs.models))


def _hill_climb(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> np.ndarray:
    """Shares (M,) of the picks, starting from the best single model."""
    picks, logits = _best_single(inputs, label, user), inputs.logits
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


def _logistic(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> np.ndarray:
    """Weights (M + 1,), the intercept last."""
    fitted = LogisticRegression(C=1.0).fit(inputs.logits, label)
    return np.append(fitted.coef_, fitted.intercept_)


def _weighted(weights: np.ndarray, inputs: Inputs) -> np.ndarray:
    intercept = weights[len(inputs.models) :].sum()  # 0 where there is none
    return inputs.logits @ weights[: len(inputs.models)] + intercept


def _weighted_ranks(weights: np.ndarray, inputs: Inputs) -> np.ndarray:
    return (rankdata(inputs.logits, axis=0) - 0.5) / len(inputs) @ weights


def _unchanged(score: np.ndarray) -> np.ndarray:
    return score


def _trees(name: str, columns: Callable[[Inputs], tuple[np.ndarray, tuple[str, ...]]]) -> Blender:
    """LightGBM on some `columns` (n, C) and their names; its weights are the model's text."""

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> str:
        matrix, names = columns(inputs)
        return stacker.fit(matrix, list(names), label, user)

    def predict(model: str, inputs: Inputs) -> np.ndarray:
        return stacker.predict(model, columns(inputs)[0])

    return Blender(name=name, fit=fit, predict=predict)


def _features(inputs: Inputs) -> tuple[np.ndarray, tuple[str, ...]]:
    return inputs.features, inputs.names


def _everything(inputs: Inputs) -> tuple[np.ndarray, tuple[str, ...]]:
    logits = inputs.logits.astype(np.float32)
    return np.hstack([logits, inputs.features]), (*inputs.models, *inputs.names)


BEST_SINGLE = Blender(name="best_single", fit=_best_single, predict=_weighted)
RANK_MEAN = Blender(
    name="rank_mean", fit=_equal, predict=_weighted_ranks, to_probability=_unchanged
)
LOGIT_MEAN = Blender(name="logit_mean", fit=_equal, predict=_weighted)
HILL_CLIMBING = Blender(name="hill_climbing", fit=_hill_climb, predict=_weighted)
LOGISTIC = Blender(name="logistic", fit=_logistic, predict=_weighted)
FEATURES_ONLY = _trees("features_only", _features)
LIGHTGBM = _trees("lightgbm", _everything)
BLENDERS_BY_NAME = {  # simplest first: of equal blenders the first is submitted
    blender.name: blender
    for blender in (
        BEST_SINGLE,
        RANK_MEAN,
        LOGIT_MEAN,
        HILL_CLIMBING,
        LOGISTIC,
        FEATURES_ONLY,
        LIGHTGBM,
    )
}


def compare(
    inputs: Inputs, label: np.ndarray, fold: np.ndarray, user: np.ndarray
) -> Iterator[BlenderScore]:
    """The score of every blender, simplest first. Arguments and errors as `nested`."""
    for blender in BLENDERS_BY_NAME.values():
        score = nested(blender, inputs, label, fold, user)
        yield BlenderScore(
            name=blender.name,
            mean=score.mean,
            sd=score.sd,
            folds=score.folds,
            weights=blender.fit(inputs, label, user),
        )


def winner(scores: list[BlenderScore]) -> BlenderScore:
    """The simplest blender whose nested mean is within TIE of the highest.

    `scores` lie simplest first.
    """
    highest = max(score.mean for score in scores)
    return next(score for score in scores if score.mean > highest - TIE)
