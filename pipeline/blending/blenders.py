"""The blenders' scores beside the models' logits, and which of them is submitted."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from cv import blend
from cv.blend import BLENDERS_BY_NAME, Inputs
from features.errors import InputError
from features.table import KEYS
from pipeline.blending.predictions import SUBMITTED


def inputs(rows: pl.DataFrame, models: tuple[str, ...], features: pl.DataFrame | None) -> Inputs:
    """What blenders read of `rows`: the models' logits, and the columns of 30_features."""
    columns = [] if features is None else features.drop(KEYS).get_columns()
    for column in columns:
        if column.name in models:
            raise InputError(f"models: {column.name!r} is a column of 30_features: rename its TOML")
    return Inputs.of(
        {model: rows[model].to_numpy() for model in models},
        {column.name: column.cast(pl.Float32).to_numpy() for column in columns},
    )


def choose(table: dict, method: str) -> dict:
    """Which blender is submitted, and by what it was chosen: that AUC is optimistic."""
    if list(table["blenders"]) == ["best_single"]:
        return {"chosen": "best_single", "chosen_by": "official valid"}
    if method == "best_single":
        return {"chosen": method, "chosen_by": "settings, its network by out-of-fold AUC"}
    if method != "auto":
        return {"chosen": method, "chosen_by": "settings"}
    rows = [
        blend.BlenderScore(
            name=name, mean=row["cv"], sd=row["sd"], folds=tuple(row["folds"]), weights=None
        )
        for name, row in table["blenders"].items()
    ]
    return {"chosen": blend.winner(rows).name, "chosen_by": "nested CV"}


def add_blends(
    rows: pl.DataFrame, inputs: Inputs, weights: Mapping[str, Any], chosen: str
) -> pl.DataFrame:
    """`rows` with the score of every blender, and `probability`, the one that is submitted."""
    scores = {
        name: BLENDERS_BY_NAME[name].predict(fitted, inputs) for name, fitted in weights.items()
    }
    submitted = BLENDERS_BY_NAME[chosen].to_probability(scores[chosen])
    return rows.with_columns(**scores, **{SUBMITTED: submitted})
