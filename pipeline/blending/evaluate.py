"""What 60_blend writes down about models and blenders: AUC, weights, importances.

blend.json
    models       {name: cv, sd, folds, valid; seeds: the same per seed, where there are several}
    blenders     {name: cv, sd, folds, valid, valid_gain, models, weights or file}
    importances  {column: gain} of the LightGBM stacker
A gain is [AUC - AUC of best_single, low, high]: a 95 % interval, whole users resampled. In official
mode no row of train is held out: cv, sd and folds are absent.
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
    oof: pl.DataFrame, valid: pl.DataFrame, fits: Fits, inputs: Inputs
) -> tuple[dict, dict[str, Any]]:
    """The table of blend.json, and the weights of every blender, fitted on all OOF rows.

    Models are evaluated by the AUC on each fold, blenders by nested folds: fitted on the other
    folds' OOF rows. `inputs` are those of the rows `oof`.
    """
    models = {}
    for model in models_of(fits):
        models[model] = _fold_aucs(oof, model) | {"valid": _auc(valid, model)}
        seeds = single_seeds(fits, model)
        if seeds:
            models[model]["seeds"] = {
                seed: _fold_aucs(oof, column) | {"valid": _auc(valid, column)}
                for seed, column in seeds.items()
            }
    label, fold, user = (oof[name].to_numpy() for name in ("label", "fold", "user_id"))
    rows = []
    for row in blend.compare(inputs, label, fold, user):
        print(f"60_blend {row.name} cv={row.mean:.5f}", flush=True)
        rows.append(row)
    blenders = {row.name: {"cv": row.mean, "sd": row.sd, "folds": list(row.folds)} for row in rows}
    return {"models": models, "blenders": blenders}, {row.name: row.weights for row in rows}


def on_valid(valid: pl.DataFrame, fits: Fits) -> tuple[dict, dict[str, Any]]:
    """As `nested`, in official mode: the model with the highest AUC on official valid."""
    models = models_of(fits)
    aucs = {model: _auc(valid, model) for model in models}
    best = max(aucs, key=aucs.get)
    table = {"models": {m: {"valid": v} for m, v in aucs.items()}, "blenders": {BASE: {}}}
    return table, {BASE: np.array([float(model == best) for model in models])}


def add_valid_auc(table: dict, valid: pl.DataFrame) -> None:
    """Add the AUC of every blender on official valid, and its gain."""
    for name, figures in table["blenders"].items():
        figures["valid"] = _auc(valid, name)
        if name != BASE:
            figures["valid_gain"] = gain(valid, name)


def add_weights(table: dict, weights: Mapping[str, Any], models: tuple[str, ...]) -> dict[str, str]:
    """Add the models and weights of every blender; returns the stackers' texts by file name."""
    texts = {}
    for name, fitted in weights.items():
        if isinstance(fitted, str):
            texts[f"{name}.txt"] = fitted
            used = [m for m in models if m in stacker.importances(fitted)]
            table["blenders"][name] |= {"models": used, "file": f"{name}.txt"}
        else:
            by_model = dict(zip((*models, "intercept"), fitted.tolist(), strict=False))
            used = [model for model in models if by_model[model]]
            table["blenders"][name] |= {"models": used, "weights": by_model}
    if blend.LIGHTGBM.name in weights:
        table["importances"] = stacker.importances(weights[blend.LIGHTGBM.name])
    return texts


def gain(rows: pl.DataFrame, name: str) -> list[float]:
    """[AUC(name) - AUC(best_single), low, high] on rows with user_id and label."""
    label, blended, base, user = (rows[c].to_numpy() for c in ("label", name, BASE, "user_id"))
    return list(paired_bootstrap(label, blended, base, user))


def _fold_aucs(oof: pl.DataFrame, column: str) -> dict:
    parts = oof.select("fold", "label", column).sort("fold").partition_by("fold")
    folds = [_auc(part, column) for part in parts]
    return {"cv": float(np.mean(folds)), "sd": float(np.std(folds, ddof=1)), "folds": folds}


def _auc(rows: pl.DataFrame, column: str) -> float:
    return auc(rows["label"].to_numpy(), rows[column].to_numpy())
