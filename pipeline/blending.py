"""The fits' logits as tables, and how they become one score."""

from pathlib import Path

import numpy as np
import polars as pl

from cv import blend
from cv.auc import auc
from cv.oof import assemble
from features.store import Store

Fits = dict[tuple[str, int, int], Path]  # (model, seed, fold) -> folder of 50_train
SHIPPED = "probability"


def predictions(store: Store, fits: Fits) -> dict[str, pl.DataFrame]:
    """valid (row_id, label) and test (ID), each with a column of logits per model, float64.

    A model's logit is the mean over its folds and seeds.
    """
    valid = {"row_id": np.arange(len(store.valid)), "label": np.asarray(store.valid.label)}
    tables = {"valid": pl.DataFrame(valid), "test": pl.DataFrame({"ID": np.asarray(store.test.id)})}
    for name, table in tables.items():
        key = table.columns[0]
        for model in models_of(fits):
            parts = [folder for (m, _, _), folder in fits.items() if m == model]
            logit = sum(_logits(folder / f"{name}.parquet", table[key]) for folder in parts)
            table = table.with_columns((logit / len(parts)).alias(model))
        tables[name] = table
    return tables


def out_of_fold(store: Store, folds: Path, fits: Fits) -> pl.DataFrame:
    """row_id, fold, label of the train rows; per model, the logit of fits that did not see them."""
    table = pl.read_parquet(folds / "folds.parquet").sort("row_id")
    table = table.with_columns(label=pl.Series(np.asarray(store.train.label)))
    for model in models_of(fits):
        seeds = sorted({seed for m, seed, _ in fits if m == model})
        logit = sum(_held(fits, model, seed, table["row_id"]) for seed in seeds)
        table = table.with_columns((logit / len(seeds)).alias(model))
    return table


def models_of(fits: Fits) -> list[str]:
    return list(dict.fromkeys(model for model, _, _ in fits))


def judge_nested(oof: pl.DataFrame, tables: dict[str, pl.DataFrame]) -> dict:
    """Models by their fold AUCs, blenders by nested folds; official valid beside both."""
    valid, fold, label = tables["valid"], oof["fold"].to_numpy(), oof["label"].to_numpy()
    models = [c for c in oof.columns if c not in ("row_id", "fold", "label")]
    table: dict = {"models": {}, "blenders": {}}
    for model in models:
        logit = oof[model].to_numpy()
        folds = [auc(label[fold == k], logit[fold == k]) for k in np.unique(fold)]
        judged = {"cv": float(np.mean(folds)), "sd": float(np.std(folds, ddof=1)), "folds": folds}
        table["models"][model] = judged | {"valid": _valid_auc(valid, valid[model])}
    matrix = oof.select(models).to_numpy()
    valid_logits = valid.select(models).to_numpy()
    for row, way in zip(blend.compare(matrix, label, fold), blend.BLENDERS, strict=True):
        judged = {"cv": row.mean, "sd": row.sd, "folds": list(row.folds)}
        judged["weights"] = dict(zip(models, row.weights.tolist(), strict=True))
        judged["valid"] = _valid_auc(valid, way.predict(row.weights, valid_logits))
        table["blenders"][row.name] = judged
    return table


def judge_on_valid(tables: dict[str, pl.DataFrame]) -> dict:
    """Official mode: no row of train is held out, so official valid is all there is to judge by."""
    valid = tables["valid"]
    models = [c for c in valid.columns if c not in ("row_id", "label")]
    reached = {model: _valid_auc(valid, valid[model]) for model in models}
    best = max(reached, key=reached.get)
    weights = {model: float(model == best) for model in models}
    return {
        "models": {model: {"valid": value} for model, value in reached.items()},
        "blenders": {"best_single": {"weights": weights, "valid": reached[best]}},
    }


def choose(table: dict, method: str) -> dict:
    """Which blender ships, and what chose it: that figure flatters."""
    if list(table["blenders"]) == ["best_single"]:
        return {"chosen": "best_single", "chosen_by": "official valid"}
    if method == "best_single":
        return {"chosen": method, "chosen_by": "settings, its network by out-of-fold AUC"}
    if method != "auto":
        return {"chosen": method, "chosen_by": "settings"}
    rows = [
        blend.Row(name=name, mean=row["cv"], sd=row["sd"], folds=tuple(row["folds"]), weights=None)
        for name, row in table["blenders"].items()
    ]
    return {"chosen": blend.winner(rows).name, "chosen_by": "nested CV"}


def score(tables: dict[str, pl.DataFrame], table: dict, chosen: dict) -> None:
    """Add every blender's score, and the shipped `probability`, to valid and test."""
    ways = {way.name: way for way in blend.BLENDERS}
    for name, rows in tables.items():
        scores = {}
        for method, judged in table["blenders"].items():
            logits = rows.select(list(judged["weights"])).to_numpy()
            weights = np.array(list(judged["weights"].values()))
            scores[method] = ways[method].predict(weights, logits)
        shipped = ways[chosen["chosen"]].to_probability(scores[chosen["chosen"]])
        tables[name] = rows.with_columns(**scores, **{SHIPPED: shipped})


def _valid_auc(valid: pl.DataFrame, scores: pl.Series | np.ndarray) -> float:
    return auc(valid["label"].to_numpy(), np.asarray(scores))


def _held(fits: Fits, model: str, seed: int, row_ids: pl.Series) -> pl.Series:
    parts = [
        pl.read_parquet(folder / "held.parquet")
        for (m, s, _), folder in fits.items()
        if (m, s) == (model, seed)
    ]
    return assemble(parts, row_ids.to_numpy())["logit"].cast(pl.Float64)


def _logits(path: Path, ids: pl.Series) -> pl.Series:
    """Logits of one fit in the order of `ids`; every id exactly once."""
    table = pl.read_parquet(path)
    wanted = pl.DataFrame({table.columns[0]: ids})
    joined = wanted.join(
        table, on=table.columns[0], how="left", validate="1:1", maintain_order="left"
    )
    if joined["logit"].null_count() or len(table) != len(wanted):
        raise ValueError(f"{path} holds {len(table)} rows that are not the {len(wanted)} expected")
    return joined["logit"].cast(pl.Float64)
