"""A stacker: gradient-boosted trees over columns of any kind; its model is LightGBM's text.

Trees are added while they lower the loss on a tenth of the users, held out of the given rows
(cv/blenders/stopping.py). Nothing else is chosen. All fits on some of the same rows share one table
of binned columns, whose bins know no label. Equal rows give equal text, whatever the number of
threads.

Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS.
"""

from collections.abc import Callable, Sized
from typing import Any, NamedTuple

import lightgbm
import numpy as np

from cv.blenders.blender import Inputs
from cv.blenders.stopping import stopping_rows
from cv.slates.softmax import SlateSoftmax
from features.errors import InputError

Columns = tuple[np.ndarray, tuple[str, ...]]  # (n, C) float32, NaN where unknown, and their names

SETTINGS = {
    "objective": "binary",
    "metric": "binary_logloss",
    "learning_rate": 0.07,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "feature_fraction": 0.3,
    "feature_pre_filter": False,  # it drops columns by the rows of the whole table
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MAX_TREES, PATIENCE = 600, 30
MANY_ROWS = 1_000_000  # of fewer, fits run side by side, each with one thread (cv.nested)


class Trees(NamedTuple):
    """Fitted trees, and what they score on rows that they have not seen.

    text            LightGBM's model
    held_out        (N,) bool, the rows of the users that chose the number of trees
    held_out_score  (n,) float64, the logits of these rows
    """

    text: str
    held_out: np.ndarray
    held_out_score: np.ndarray


def fit(
    inputs: Inputs,
    columns: Callable[[Inputs], Columns],
    label: np.ndarray,
    user: np.ndarray,
    within_slates: bool = False,
) -> Trees:
    """Trees on the `columns` of the N rows of `inputs`.

    label (N,) 0 and 1; user (N,): a user's rows are held out together. With within_slates, the
    trees minimise the loss of the softmax over each slate (cv.slates.softmax), and their logits
    say no more than which row of a slate is preferred.
    Raises InputError where the users do not make two parts with both labels each.
    """
    held_out = stopping_rows(user, label)
    if held_out is None:
        raise InputError(
            f"{len(np.unique(user))} users do not make two parts with both labels each, one of"
            " which chooses the number of trees: use more users"
        )
    fitted, metric = ~held_out, None
    settings = SETTINGS | {"num_threads": _threads(inputs.all_logits)}
    binned = inputs.shared(columns, lambda whole: _binned(*columns(whole), settings))
    if within_slates:
        settings |= _within(label[fitted], inputs.slate[fitted])
        metric = _loss_within(label[held_out], inputs.slate[held_out])
    train = _subset(binned, inputs.positions[fitted], label[fitted])
    valid = _subset(binned, inputs.positions[held_out], label[held_out])
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    model = lightgbm.train(settings, train, MAX_TREES, [valid], feval=metric, callbacks=[stop])
    text = model.model_to_string(num_iteration=model.best_iteration)
    score = predict(text, columns(inputs.take(held_out))[0])
    return Trees(text, held_out, score)


def _binned(
    columns: np.ndarray, names: tuple[str, ...], settings: dict[str, Any]
) -> lightgbm.Dataset:
    """All rows; who trains on some gives the labels.

    `settings` hold the number of threads: calls at the same time must agree in it, since LightGBM
    keeps it in a variable of the process by which it sizes its buffers.
    """
    no_label = np.zeros(len(columns), np.float32)
    binned = lightgbm.Dataset(columns, no_label, feature_name=list(names), params=settings)
    return binned.construct()


def _subset(binned: lightgbm.Dataset, rows: np.ndarray, label: np.ndarray) -> lightgbm.Dataset:
    """The `rows` (n,) of a binned table, in their order there, with label (n,)."""
    return binned.subset(rows.tolist()).construct().set_label(label)


def _within(label: np.ndarray, slate: np.ndarray) -> dict[str, Any]:
    """Settings that train on the loss within slates."""
    softmax = SlateSoftmax(label, slate)
    return {
        "objective": lambda score, _: softmax.gradient(score),
        "metric": "None",
    }


def _loss_within(label: np.ndarray, slate: np.ndarray) -> Callable[..., tuple[str, float, bool]]:
    """The same loss, as the metric that stops."""
    softmax = SlateSoftmax(label, slate)
    return lambda score, _: ("loss", softmax.loss(score), False)


def predict(model: str, columns: np.ndarray) -> np.ndarray:
    """Logits (n,) float64 of `columns` (n, C)."""
    booster = lightgbm.Booster(model_str=model)
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=_threads(columns)))


def names(model: str) -> list[str]:
    """The columns that `predict` expects, in their order."""
    return lightgbm.Booster(model_str=model).feature_name()


def _threads(rows: Sized) -> int:
    return 1 if len(rows) < MANY_ROWS else 0  # 0: one per core


def importances(model: str) -> dict[str, float]:
    """By column, how much it lowered the training loss; largest first."""
    booster = lightgbm.Booster(model_str=model)
    gain = booster.feature_importance("gain").tolist()
    pairs = zip(booster.feature_name(), gain, strict=True)
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
