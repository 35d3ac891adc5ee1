"""What 60_blend writes down about models and blenders: AUC, weights, importances.

blend.json
    models       {name: cv, sd, folds, cv_last, valid; one_fit: {columns, valid}, the mean AUC of
                 its fits; seeds: the same per seed, where there are several}
    blenders     {name: cv, sd, folds, cv_last, valid, valid_gain, models, weights or file, choice}
    importances  {column: gain} of the LightGBM stacker
A gain is [AUC - AUC of best_single, low, high]: a 95 % interval, whole users resampled. cv_last is
cv on the rows of users' last events; it is absent where that is every row. choice has the numbers
of cv.slates.choice, where a blender uses slates. In official mode no row of train is held out: cv,
sd, folds and cv_last are absent.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cv.auc import auc
from cv.blenders import stacker
from cv.blenders.blender import Inputs
from cv.blenders.linear import BEST_SINGLE
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.blenders.stacker import Trees
from cv.blenders.trees import LIGHTGBM
from cv.blenders.within_slates import WithinSlates
from cv.bootstrap import paired_bootstrap
from cv.nested import BlenderScore, compare
from pipeline.blending.predictions import Fits, fit_column, models_of, single_seeds
from pipeline.runtime.live import events

BASE = BEST_SINGLE.name


def nested(
    oof: pl.DataFrame, valid: pl.DataFrame, fits: Fits, inputs: Inputs, slates: bool
) -> tuple[dict, list[BlenderScore]]:
    """The table of blend.json, and every blender's nested scores and weights.

    Models are evaluated by the AUC on each fold, blenders by nested folds: fitted on the other
    folds' OOF rows. `inputs` are those of the rows `oof`. Blenders that use slates are tried only
    where `slates` is set.
    """
    models = {}
    for model in models_of(fits):
        models[model] = _of_folds(oof, oof[model]) | {"valid": _auc(valid, model)}
        single = [fit_column(*key) for key in fits if key[0] == model]
        mean = float(np.mean([_auc(valid, column) for column in single]))
        models[model]["one_fit"] = {"columns": single, "valid": mean}
        seeds = single_seeds(fits, model)
        if seeds:
            models[model]["seeds"] = {
                seed: _of_folds(oof, oof[column]) | {"valid": _auc(valid, column)}
                for seed, column in seeds.items()
            }
    label, fold, user = (oof[name].to_numpy() for name in ("label", "fold", "user_id"))
    tried = [b for b in BLENDERS_BY_NAME.values() if slates or not b.uses_slates]
    scores = []
    events.total("blenders", 0, len(tried))
    for done, score in enumerate(compare(tried, inputs, label, fold, user), start=1):
        events.total("blenders", done, len(tried))
        print(f"60_blend {score.name} cv={score.mean:.5f}", flush=True)
        scores.append(score)
    blenders = {score.name: _of_folds(oof, pl.Series(score.scores)) for score in scores}
    return {"models": models, "blenders": blenders}, scores


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
    texts: dict[str, str] = {}
    for name, fitted in weights.items():
        table["blenders"][name] |= _described(name, fitted, models, texts)
    if LIGHTGBM.name in weights:
        table["importances"] = stacker.importances(weights[LIGHTGBM.name].text)
    return texts


def _described(name: str, fitted: Any, models: tuple[str, ...], texts: dict[str, str]) -> dict:
    """The models and weights of a blender; adds the trees that no other blender has to `texts`."""
    if isinstance(fitted, tuple) and not isinstance(fitted, (Trees, WithinSlates)):
        parts = [_described(name, part, models, texts) for part in fitted]
        used = [model for model in models if any(model in part["models"] for part in parts)]
        shares = dict.fromkeys(BLENDERS_BY_NAME[name].bases, 1 / len(parts))
        return {"models": used, "weights": shares}
    if isinstance(fitted, WithinSlates):
        base = _described(name, fitted.base, models, texts)
        return base | {"choice": fitted.choice._asdict()}
    if isinstance(fitted, Trees):
        same = [file for file, text in texts.items() if text == fitted.text]
        file = same[0] if same else f"{name}.txt"
        texts[file] = fitted.text
        names = stacker.importances(fitted.text)
        return {"models": [model for model in models if model in names], "file": file}
    by_model = dict(zip((*models, "intercept"), fitted.tolist(), strict=False))
    return {"models": [model for model in models if by_model[model]], "weights": by_model}


def gain(rows: pl.DataFrame, name: str) -> list[float]:
    """[AUC(name) - AUC(best_single), low, high] on rows with user_id and label."""
    label, blended, base, user = (rows[c].to_numpy() for c in ("label", name, BASE, "user_id"))
    return list(paired_bootstrap(label, blended, base, user))


def _of_folds(oof: pl.DataFrame, score: pl.Series) -> dict:
    """cv, sd, folds and cv_last of a score of the rows `oof`."""
    rows = oof.select("fold", "label", "last", score=score).sort("fold")
    folds = [_auc(part, "score") for part in rows.partition_by("fold")]
    figures = {"cv": float(np.mean(folds)), "sd": float(np.std(folds, ddof=1)), "folds": folds}
    last = rows.filter("last").partition_by("fold")
    if not rows["last"].all() and all(part["label"].n_unique() == 2 for part in last):
        figures["cv_last"] = float(np.mean([_auc(part, "score") for part in last]))
    return figures


def _auc(rows: pl.DataFrame, column: str) -> float:
    return auc(rows["label"].to_numpy(), rows[column].to_numpy())
