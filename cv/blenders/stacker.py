"""A stacker: gradient-boosted trees over columns of any kind; its model is LightGBM's text.

The number of trees is the one that scores best on a fifth of the users, held out of the given rows
(cv/blenders/stopping.py);
then that many trees are fitted on all of them. Nothing else is chosen. Equal rows give equal text,
whatever the number of threads.

Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightgbm
import numpy as np

from cv.blenders.stopping import stopping_rows
from cv.slates.softmax import SlateSoftmax
from features.errors import InputError

SETTINGS = {
    "objective": "binary",
    "metric": "auc",
    "learning_rate": 0.07,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "feature_fraction": 0.3,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MAX_TREES, PATIENCE = 600, 30
MANY_ROWS = 1_000_000  # of fewer, fits run side by side, each with one thread (cv.nested)


class Trees(NamedTuple):
    """Fitted trees, and what they score on rows that they have not seen.

    text            LightGBM's model, fitted on all N rows
    held_out        (N,) bool, the rows of the users that chose the number of trees
    held_out_score  (n,) float64, their logits by trees that were fitted on the other rows
    """

    text: str
    held_out: np.ndarray
    held_out_score: np.ndarray


def fit(
    columns: np.ndarray,
    names: list[str],
    label: np.ndarray,
    user: np.ndarray,
    slate: np.ndarray | None = None,
) -> Trees:
    """Trees on the rows.

    columns (N, C) float32, NaN where unknown; names of the C columns; label (N,) 0 and 1;
    user (N,): a user's rows are held out together. With slate (N,) int64, the trees minimise the
    loss of the softmax over each slate (cv.slates.softmax), and their logits say no more than which
    row of a slate is preferred.
    Raises InputError where the users do not make two parts with both labels each.
    """
    held_out = stopping_rows(user, label)
    if held_out is None:
        raise InputError(
            f"{len(np.unique(user))} users do not make two parts with both labels each, one of"
            " which chooses the number of trees: use more users"
        )
    threads = _threads(label)
    settings, metric = SETTINGS | {"num_threads": threads}, None
    of_train, of_all = {}, {}
    if slate is not None:
        of_train = _within(label[~held_out], slate[~held_out])
        of_all, metric = _within(label, slate), _loss_within(label[held_out], slate[held_out])
    train = lightgbm.Dataset(columns[~held_out], label[~held_out], feature_name=names)
    valid = lightgbm.Dataset(columns[held_out], label[held_out], reference=train)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    stopped = lightgbm.train(
        settings | of_train, train, MAX_TREES, [valid], feval=metric, callbacks=[stop]
    )
    all_rows = lightgbm.Dataset(columns, label, feature_name=names)
    fitted = lightgbm.train(settings | of_all, all_rows, stopped.best_iteration)
    score = stopped.predict(columns[held_out], raw_score=True, num_threads=threads)
    return Trees(fitted.model_to_string(), held_out, np.asarray(score))


def _within(label: np.ndarray, slate: np.ndarray) -> dict[str, Any]:
    """Settings that train on the loss within slates."""
    softmax = SlateSoftmax(label, slate)
    return {
        "objective": lambda score, _: softmax.gradient(score),
        "metric": "None",
        "feature_pre_filter": False,  # LightGBM refuses rows so few that no column could be split
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


def _threads(rows: np.ndarray) -> int:
    return 1 if len(rows) < MANY_ROWS else 0  # 0: one per core


def importances(model: str) -> dict[str, float]:
    """By column, how much it lowered the training loss; largest first."""
    booster = lightgbm.Booster(model_str=model)
    gain = booster.feature_importance("gain").tolist()
    pairs = zip(booster.feature_name(), gain, strict=True)
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
