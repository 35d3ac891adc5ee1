"""The blenders' scores beside the models' logits, and which of them is submitted."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from cv.blenders.blender import Inputs
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.nested import BlenderScore, winner
from features.errors import InputError
from features.table import KEYS
from pipeline.blending import predictions
from pipeline.blending.predictions import SUBMITTED
from pipeline.graph import OFFICIAL, FitKey


def inputs(
    rows: pl.DataFrame, logits: Mapping[str, np.ndarray], features: pl.DataFrame | None
) -> Inputs:
    """What blenders read of `rows`: logits by model, the columns of 30_features, and slates."""
    columns = [] if features is None else features.drop(KEYS).get_columns()
    for column in columns:
        if column.name in logits:
            raise InputError(f"models: {column.name!r} is a column of 30_features: rename its TOML")
    return Inputs.of(
        logits,
        {column.name: column.cast(pl.Float32) for column in columns},
        rows["slate"].to_numpy(),
    )


def inputs_by_fold(
    rows: pl.DataFrame,
    fits: Iterable[FitKey],
    folds: Iterable[int],
    models: Iterable[str],
    features: Iterable[pl.DataFrame] | None,
) -> Iterator[Inputs]:
    """What blenders read of rows outside train, once for every fold: its fits and features.

    rows      with the columns of predictions.with_logits, of `fits`
    folds     their numbers; OFFICIAL alone for the official split, where a blender reads all fits
    models    of the blend; one without fits has logits of 0, since its weight is 0
    features  the columns of 30_features, fitted outside each fold in turn; None: not read
    """
    fits, models, zeros = list(fits), list(models), np.zeros(len(rows))
    for fold, table in zip(folds, features or itertools.repeat(None), strict=False):
        if fold == OFFICIAL:
            logits = {model: rows[model].to_numpy() for model in predictions.models_of(fits)}
        else:
            logits = predictions.of_fold(rows, fits, fold)
        yield inputs(rows, {model: logits.get(model, zeros) for model in models}, table)


def choose(scores: list[BlenderScore], method: str) -> dict:
    """Which blender is submitted, and by what it was chosen: that AUC is optimistic.

    without_slates  the blender that would be submitted if none could use slates
    """
    alone = winner([score for score in scores if not score.uses_slates]).name
    if method == "best_single":
        chosen, by = method, "settings, its network by out-of-fold AUC"
    elif method == "auto":
        chosen, by = winner(scores).name, "nested CV"
    else:
        chosen, by = method, "settings"
    uses_slates = BLENDERS_BY_NAME[chosen].uses_slates
    return {
        "chosen": chosen,
        "chosen_by": by,
        "uses_slates": uses_slates,
        "without_slates": alone if uses_slates else chosen,
    }


def choose_on_valid() -> dict:
    """The same in official mode, which blends nothing."""
    name = "best_single"
    return {
        "chosen": name,
        "chosen_by": "official valid",
        "uses_slates": False,
        "without_slates": name,
    }


def add_blends(
    rows: pl.DataFrame, inputs: Iterable[Inputs], weights: Mapping[str, Any], chosen: str
) -> pl.DataFrame:
    """`rows` with the score of every blender, and `probability`, the one that is submitted.

    `inputs` describe the rows once for every fold, by the fits and features of that fold, as those
    that blenders are fitted on. A score is the mean over folds; means of the inputs would be less
    extreme than what the blenders have seen.
    """
    totals, n_folds = dict.fromkeys(weights, 0.0), 0
    for of_fold in inputs:
        n_folds += 1
        scored: dict[str, np.ndarray] = {}
        for name, fitted in weights.items():
            scored[name] = BLENDERS_BY_NAME[name].predict_after(scored, fitted, of_fold)
            totals[name] = totals[name] + scored[name]
    scores = {name: total / n_folds for name, total in totals.items()}
    submitted = BLENDERS_BY_NAME[chosen].to_probability(scores[chosen])
    return rows.with_columns(**scores, **{SUBMITTED: submitted})
