"""The score table: every model and every blend, by every yard-stick that this world has."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from cv.auc import auc
from pipeline.blending import evaluate
from pipeline.blending.predictions import SUBMITTED
from pipeline.reporting.tuned import of_tuned

COLUMNS = ("cv", "sd", "valid", "hidden", "valid_gain", "hidden_gain")
WITH_EXTERNAL = "with_external"
FLATTERED_CV = "  CV: a fold also chose the epoch of its own fits, which flatters it a little."
FLATTERED = "  Official valid chose epochs and network, so it flatters them; hidden chose nothing."


def judge(blend: Path, hidden_labels: Path | None, tuned: tuple[str, ...] = ()) -> dict:
    """Rows (COLUMNS by name), what shipped, and the Bayes AUC; None where unknown.

    `tuned` are the networks whose settings a study chose, by the rows that also judge here.

    `blend` is the folder of 60_blend. `hidden_labels` (ID, label and, for the sample,
    click_probability) are the test labels: this function alone opens them. A gain is
    [difference from best_single, low, high], as in pipeline/blending/evaluate.py.
    """
    table = json.loads((blend / "blend.json").read_text())
    rows, columns = _rows(table)
    bayes = None
    if hidden_labels is not None:
        labels = pl.read_parquet(hidden_labels)
        test = pl.read_parquet(blend / "test.parquet")
        test = test.join(labels, on="ID", how="left", validate="1:1", maintain_order="left")
        truth = test["label"].to_numpy()
        for row in rows:
            scores = [test[column].to_numpy() for column in columns[row["name"]]]
            row["hidden"] = float(np.mean([auc(truth, score) for score in scores]))
        for row in rows:
            if row["valid_gain"] is not None or row["name"] == WITH_EXTERNAL:
                (column,) = columns[row["name"]]
                row["hidden_gain"] = evaluate.gain(test, column)
        if "click_probability" in labels.columns:
            bayes = auc(truth, test["click_probability"].to_numpy())
    return {
        "rows": rows,
        "shipped": WITH_EXTERNAL if "external" in table else table["chosen"],
        "chosen_by": _chosen_by(table),
        "bayes": bayes,
        "tuned": list(tuned),
    }


def _rows(table: dict) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows without hidden figures, and the columns of test.parquet that each is the mean of."""
    rows, columns = [], {}
    for name, judged in [*table["models"].items(), *table["blenders"].items()]:
        rows.append(_row(name, judged))
        columns[name] = [name]
        seeds = judged.get("seeds")
        if seeds:
            alone = f"{name}, one seed"
            rows.append(_row(alone, _mean_of(list(seeds.values()))))
            columns[alone] = [f"{name}-seed{seed}" for seed in seeds]
    if "external" in table:
        rows.append(_row(WITH_EXTERNAL, {}))
        columns[WITH_EXTERNAL] = [SUBMITTED]
    return rows, columns


def _row(name: str, judged: dict) -> dict:
    return {"name": name, **{column: judged.get(column) for column in COLUMNS}}


def _mean_of(seeds: list[dict]) -> dict:
    """What one seed reaches: means over seeds; the sd is that of the folds, as everywhere."""
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
        f"settings: {table['chosen']} (by {table['chosen_by']}) and {external['file']}, which"
        f" weighs {external['weight']:g} and was judged by nothing"
    )


def as_text(judged: dict) -> str:
    """The table for a terminal; `*` is what ships."""
    width = max(16, *(len(row["name"]) for row in judged["rows"]))
    lines = [f"  {'':<{width}}{'CV ± sd':>19}{'valid':>10}{'hidden':>10}{'Bayes':>10}"]
    for row in judged["rows"]:
        cv = "-" if row["cv"] is None else f"{row['cv']:.5f} ± {row['sd']:.5f}"
        figures = "".join(_cell(v) for v in (row["valid"], row["hidden"], judged["bayes"]))
        lines.append(f"{_star(row, judged)} {row['name']:<{width}}{cv:>19}{figures}")
    lines += _gains(judged, width)
    flattered = FLATTERED if judged["rows"][0]["cv"] is None else FLATTERED_CV
    lines += [f"* ships, chosen by {judged['chosen_by']}.", flattered]
    if judged["tuned"]:
        lines.append(f"  {of_tuned(judged)}")
    return "\n".join(lines)


def _gains(judged: dict, width: int) -> list[str]:
    """What blends gain over the best single network; nothing where there are no blends."""
    rows = [row for row in judged["rows"] if row["valid_gain"] or row["hidden_gain"]]
    if not rows:
        return []
    heads = "".join(f"{name + ', 95 % interval':>30}" for name in ("valid", "hidden"))
    lines = [f"  {'over best_single':<{width}}{heads}"]
    for row in rows:
        figures = "".join(_interval(row[name]) for name in ("valid_gain", "hidden_gain"))
        lines.append(f"{_star(row, judged)} {row['name']:<{width}}{figures}")
    return lines


def _star(row: dict, judged: dict) -> str:
    return "*" if row["name"] == judged["shipped"] else " "


def _interval(gain: list[float] | None) -> str:
    if gain is None:
        return f"{'-':>30}"
    return f"{'{:+.5f} [{:+.5f}, {:+.5f}]'.format(*gain):>30}"


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.5f}"
