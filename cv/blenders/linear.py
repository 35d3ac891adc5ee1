"""Blenders of the networks' logits alone: each weighs the networks, or their ranks."""

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from cv.auc import auc
from cv.blenders.blender import Blender, Inputs

STEPS = 20  # at most so many picks of hill climbing
GAIN = 1e-6  # AUC that a pick must add; less is rounding


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


BEST_SINGLE = Blender(name="best_single", fit=_best_single, predict=_weighted)
RANK_MEAN = Blender(
    name="rank_mean", fit=_equal, predict=_weighted_ranks, to_probability=_unchanged
)
LOGIT_MEAN = Blender(name="logit_mean", fit=_equal, predict=_weighted)
HILL_CLIMBING = Blender(name="hill_climbing", fit=_hill_climb, predict=_weighted)
LOGISTIC = Blender(name="logistic", fit=_logistic, predict=_weighted)
