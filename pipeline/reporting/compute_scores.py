"""Compute scores.json; no other module reads the hidden test labels."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from cv.auc import auc
from pipeline.blending import evaluate
from pipeline.blending.predictions import SUBMITTED
from pipeline.reporting.within_slates import compares_slates, within_slates

COLUMNS = ("cv", "sd", "cv_last", "valid", "hidden", "valid_gain", "hidden_gain")
BAYES = {"bayes": "click_probability", "bayes_slates": "click_probability_in_slate"}
WITH_EXTERNAL = "with_external"


def compute(
    blend: Path,
    hidden_labels: Path | None,
    tuned: tuple[str, ...] = (),
    folds_chose_epochs: bool = False,
    forecast: dict | None = None,
) -> dict:
    """The content of scores.json, see pipeline/reporting/scores.py for the last arguments.

    `blend` is the folder of 60_blend, `hidden_labels` the file of the test labels (ID, label and,
    for the sample, the click probabilities); `tuned` are the networks that a study has tuned.
    """
    table = json.loads((blend / "blend.json").read_text(encoding="utf-8"))
    rows, columns = _rows(table)
    bayes = dict.fromkeys(BAYES)
    valid = pl.read_parquet(blend / "valid.parquet", glob=False)
    own = {name: columns[name][0] for name in (*table["models"], *table["blenders"])}
    slates = {"valid": within_slates(valid, own), "hidden": None}
    if hidden_labels is not None:
        labels = pl.read_parquet(hidden_labels, glob=False)
        test = pl.read_parquet(blend / "test.parquet", glob=False)
        test = test.join(labels, on="ID", how="left", validate="1:1", maintain_order="left")
        truth = test["label"].to_numpy()
        for row in rows:
            aucs = [auc(truth, test[column].to_numpy()) for column in columns[row["name"]]]
            row["hidden"] = float(np.mean(aucs))
        for row in rows:
            if row["valid_gain"] is not None or row["name"] == WITH_EXTERNAL:
                (column,) = columns[row["name"]]
                row["hidden_gain"] = evaluate.gain(test, column)
        if "external" in table:
            own |= {WITH_EXTERNAL: SUBMITTED}
        slates["hidden"] = within_slates(test, own, table["uses_slates"])
        for name, column in BAYES.items():
            if column in labels.columns:
                bayes[name] = auc(truth, test[column].to_numpy())
    return {
        "rows": rows,
        "submitted": WITH_EXTERNAL if "external" in table else table["chosen"],
        "chosen_by": _chosen_by(table),
        "without_slates": table["without_slates"] if table["uses_slates"] else None,
        "within_slates": slates,
        **bayes,
        "tuned": list(tuned),
        "folds_chose_epochs": folds_chose_epochs,
        "forecast": forecast,
    }


def _rows(table: dict) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows without hidden scores, and by row the columns of test.parquet to average over."""
    rows, columns = [], {}
    for name, evaluated in [*table["models"].items(), *table["blenders"].items()]:
        rows.append(_row(name, evaluated))
        columns[name] = [name]
        seeds = evaluated.get("seeds")
        if seeds:
            one_seed = f"{name}, one seed"
            rows.append(_row(one_seed, _mean_of(list(seeds.values()))))
            columns[one_seed] = [f"{name}-seed{seed}" for seed in seeds]
        if "one_fit" in evaluated:
            one_fit = f"{name}, one fit"
            rows.append(_row(one_fit, evaluated["one_fit"]))
            columns[one_fit] = evaluated["one_fit"]["columns"]
    if "external" in table:
        rows.append(_row(WITH_EXTERNAL, {}) | {"slates": table["uses_slates"]})
        columns[WITH_EXTERNAL] = [SUBMITTED]
    return rows, columns


def _row(name: str, evaluated: dict) -> dict:
    figures = {column: evaluated.get(column) for column in COLUMNS}
    return {"name": name, "slates": compares_slates(name), **figures}


def _mean_of(seeds: list[dict]) -> dict:
    """The scores that one seed reaches: means over seeds; sd is over folds, as in every row."""
    means = {"valid": float(np.mean([seed["valid"] for seed in seeds]))}
    if "folds" in seeds[0]:
        folds = np.mean([seed["folds"] for seed in seeds], 0)
        means |= {"cv": float(folds.mean()), "sd": float(folds.std(ddof=1))}
    return means


def _chosen_by(table: dict) -> str:
    if "external" not in table:
        return table["chosen_by"]
    external = table["external"]
    return (
        f"settings: {table['chosen']} (by {table['chosen_by']}) mixed with {external['file']} at"
        f" weight {external['weight']:g}, which nothing has validated"
    )
