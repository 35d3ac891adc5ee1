"""Blenders whose score of a row depends on the other rows of its slate (cv.slates.choice)."""

from typing import Any, NamedTuple

import numpy as np

from cv.blenders.blender import Blender, Inputs
from cv.blenders.linear import LOGISTIC
from cv.blenders.stacker import Trees
from cv.blenders.trees import LIGHTGBM, Columns, everything, trees
from cv.slates import columns
from cv.slates.choice import ChoiceModel, fit_choice_model


class WithinSlates(NamedTuple):
    """The weights of the blender whose score is compared, and the model that compares it."""

    base: Any
    choice: ChoiceModel


def within_slates(name: str, base: Blender) -> Blender:
    """The score of `base`, compared within slates."""

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray, weights: Any) -> WithinSlates:
        score, rows = _out_of_sample(base, weights, inputs)
        choice = fit_choice_model(score, inputs.slate[rows], label[rows])
        return WithinSlates(weights, choice)

    def predict(weights: WithinSlates, inputs: Inputs) -> np.ndarray:
        return weights.choice.log_odds(base.predict(weights.base, inputs), inputs.slate)

    return Blender(name=name, fit=fit, predict=predict, base=base.name, uses_slates=True)


def _out_of_sample(base: Blender, weights: Any, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Scores of rows that the base was not fitted on, and which rows (N,) bool.

    Of linear weights, all rows: they are so few that their own rows look like others.
    """
    if isinstance(weights, Trees):
        return weights.held_out_score, weights.held_out
    return base.predict(weights, inputs), np.ones(len(inputs), bool)


def _beside_others(inputs: Inputs) -> Columns:
    """The logits and features, and how each stands beside those of the slate's other rows."""
    matrix, names = everything(inputs)
    beside = columns.beside_others(matrix, inputs.slate)
    return np.hstack([matrix, beside]), (*names, *columns.names(names))


def slate_columns() -> Blender:
    """Trees on `_beside_others`, their score compared within slates."""
    alone = trees("slate_columns", _beside_others)
    compared = within_slates("slate_columns", alone)

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> WithinSlates:
        return compared.fit(inputs, label, user, alone.fit(inputs, label, user))

    return Blender(name="slate_columns", fit=fit, predict=compared.predict, uses_slates=True)


SLATE_LOGISTIC = within_slates("slate_logistic", LOGISTIC)
SLATE_LIGHTGBM = within_slates("slate_lightgbm", LIGHTGBM)
SLATE_COLUMNS = slate_columns()
