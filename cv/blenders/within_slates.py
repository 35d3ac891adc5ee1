"""Blenders whose score of a row depends on the other rows of its slate (cv.slates.choice)."""

from typing import Any, NamedTuple

import numpy as np

from cv.blenders import stacker
from cv.blenders.blender import Blender, Inputs
from cv.blenders.linear import LOGISTIC
from cv.blenders.stacker import Columns, Trees
from cv.blenders.trees import LIGHTGBM, everything
from cv.slates import columns
from cv.slates.choice import ChoiceModel, fit_choice_model


class WithinSlates(NamedTuple):
    """The weights of the blender whose score is compared, and the model that compares it."""

    base: Any
    choice: ChoiceModel


def within_slates(name: str, base: Blender) -> Blender:
    """The score of `base`, compared within slates."""

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray, weights: Any) -> WithinSlates:
        if isinstance(weights, Trees):
            return _compared(weights, inputs, label)
        score = base.predict(weights, inputs)  # linear weights are so few that they fit no row
        return WithinSlates(weights, fit_choice_model(score, inputs.slate, label))

    def predict(weights: WithinSlates, inputs: Inputs) -> np.ndarray:
        return _log_odds(weights, inputs, base.predict(weights.base, inputs))

    return Blender(
        name=name,
        fit=fit,
        predict=predict,
        bases=(base.name,),
        combine=_log_odds,
        uses_slates=True,
    )


def _log_odds(weights: WithinSlates, inputs: Inputs, score: np.ndarray) -> np.ndarray:
    return weights.choice.log_odds(score, inputs.slate)


def _compared(fitted: Trees, inputs: Inputs, label: np.ndarray) -> WithinSlates:
    """The trees, and the model that is fitted on the rows which they have not seen."""
    rows = fitted.held_out
    choice = fit_choice_model(fitted.held_out_score, inputs.slate[rows], label[rows])
    return WithinSlates(fitted, choice)


def _beside_best(inputs: Inputs) -> Columns:
    """The logits and features, and each beside the best of the slate's other rows."""
    width = len(inputs.models) + len(inputs.names)
    table = np.empty((len(inputs), 2 * width), np.float32)  # large: each half is filled in place
    own, names = everything(inputs, table[:, :width])
    columns.over_best(own, inputs.slate, table[:, width:])
    return table, (*names, *columns.names(names))


def _fit_ranker(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> WithinSlates:
    trees = stacker.fit(inputs, _beside_best, label, user, within_slates=True)
    return _compared(trees, inputs, label)


def _predict_ranker(weights: WithinSlates, inputs: Inputs) -> np.ndarray:
    score = stacker.predict(weights.base.text, _beside_best(inputs)[0])
    return _log_odds(weights, inputs, score)


def _pair(
    inputs: Inputs, label: np.ndarray, user: np.ndarray, *weights: WithinSlates
) -> tuple[WithinSlates, ...]:
    return weights


def _mean(weights: tuple[WithinSlates, ...], inputs: Inputs, *scores: np.ndarray) -> np.ndarray:
    return np.mean(scores, 0)


def _predict_mean(weights: tuple[WithinSlates, WithinSlates], inputs: Inputs) -> np.ndarray:
    of_lightgbm, of_ranker = weights
    scores = SLATE_LIGHTGBM.predict(of_lightgbm, inputs), _predict_ranker(of_ranker, inputs)
    return _mean(weights, inputs, *scores)


SLATE_LOGISTIC = within_slates("slate_logistic", LOGISTIC)
SLATE_LIGHTGBM = within_slates("slate_lightgbm", LIGHTGBM)
SLATE_RANKER = Blender(
    name="slate_ranker", fit=_fit_ranker, predict=_predict_ranker, uses_slates=True
)
SLATE_MEAN = Blender(
    name="slate_mean",
    fit=_pair,
    predict=_predict_mean,
    bases=("slate_lightgbm", "slate_ranker"),
    combine=_mean,
    uses_slates=True,
)
