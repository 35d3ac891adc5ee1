"""What 60_blend writes down of models and blenders: figures, weights, importances.

blend.json
    models     {name: cv, sd, folds, valid; seeds: the same for each, where there are several}
    blenders   {name: cv, sd, folds, valid, valid_gain, models, weights or file}
    importances  {column: gain} of the LightGBM stacker
A gain is [difference of AUC from best_single, low, high]: a 95 % interval, whole users resampled.
In official mode no row of train is held out: cv, sd and folds are not there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cv import blend, stacker
from cv.auc import auc
from cv.blend import Inputs
from cv.bootstrap import paired_bootstrap
from pipeline.blending.predictions import Fits, models_of, single_seeds

BASE = blend.BEST_SINGLE.name


def nested(
    oof: pl.DataFrame, valid: pl.DataFrame, fits: Fits, given: Inputs
) -> tuple[dict, dict[str, Any]]:
    """The table, and every blender's weights as fitted on all OOF rows, which `given` describes.

    Models are judged by their fold AUCs, blenders by nested folds.
    """
    models = {}
    for model in models_of(fits):
        models[model] = _of_folds(oof, model) | {"valid": _auc(valid, model)}
        seeds = single_seeds(fits, model)
        if seeds:
            models[model]["seeds"] = {
                seed: _of_folds(oof, column) | {"valid": _auc(valid, column)}
                for seed, column in seeds.items()
            }
    label, fold, user = (oof[name].to_numpy() for name in ("label", "fold", "user_id"))
    rows = []
    for row in blend.compare(given, label, fold, user):
        print(f"60_blend {row.name} cv={row.mean:.5f}", flush=True)
        rows.append(row)
    blenders = {row.name: {"cv": row.mean, "sd": row.sd, "folds": list(row.folds)} for row in rows}
    return {"models": models, "blenders": blenders}, {row.name: row.weights for row in rows}


def on_valid(valid: pl.DataFrame, fits: Fits) -> tuple[dict, dict[str, Any]]:
    """As `nested`, in official mode: official valid is all there is to judge by."""
    models = models_of(fits)
    reached = {model: _auc(valid, model) for model in models}
    best = max(reached, key=reached.get)
    table = {"models": {m: {"valid": v} for m, v in reached.items()}, "blenders": {BASE: {}}}
    return table, {BASE: np.array([float(model == best) for model in models])}


def add_scores(table: dict, valid: pl.DataFrame) -> None:
    """Add every blender's AUC on official valid, and its gain."""
    for name, judged in table["blenders"].items():
        judged["valid"] = _auc(valid, name)
        if name != BASE:
            judged["valid_gain"] = gain(valid, name)


def add_weights(table: dict, weights: Mapping[str, Any], models: tuple[str, ...]) -> dict[str, str]:
    """Add what every blender is made of; returns the texts that lie beside, by file name."""
    texts = {}
    for name, fitted in weights.items():
        if isinstance(fitted, str):
            texts[f"{name}.txt"] = fitted
            used = [m for m in models if m in stacker.importances(fitted)]
            table["blenders"][name] |= {"models": used, "file": f"{name}.txt"}
        else:
            named = dict(zip((*models, "intercept"), fitted.tolist(), strict=False))
            used = [model for model in models if named[model]]
            table["blenders"][name] |= {"models": used, "weights": named}
    if blend.LIGHTGBM.name in weights:
        table["importances"] = stacker.importances(weights[blend.LIGHTGBM.name])
    return texts


def gain(rows: pl.DataFrame, name: str) -> list[float]:
    """[AUC(name) - AUC(best_single), low, high] on rows with user_id and label."""
    label, ours, base, user = (rows[c].to_numpy() for c in ("label", name, BASE, "user_id"))
    return list(paired_bootstrap(label, ours, base, user))


def _of_folds(oof: pl.DataFrame, column: str) -> dict:
    parts = oof.select("fold", "label", column).sort("fold").partition_by("fold")
    folds = [_auc(part, column) for part in parts]
    return {"cv": float(np.mean(folds)), "sd": float(np.std(folds, ddof=1)), "folds": folds}


def _auc(rows: pl.DataFrame, column: str) -> float:
    return auc(rows["label"].to_numpy(), rows[column].to_numpy())
