"""The score table: every model and every blend, by every yard-stick that this world has."""

import json
from pathlib import Path

import polars as pl

from cv.auc import auc

COLUMNS = ("cv", "sd", "valid", "hidden")
FLATTERED_CV = "  CV: a fold also chose the epoch of its own fits, which flatters it a little."
FLATTERED = "  Official valid chose epochs and network, so it flatters them; hidden chose nothing."


def judge(blend: Path, hidden_labels: Path | None) -> dict:
    """Rows (name, cv, sd, valid, hidden), what shipped, and the Bayes AUC; None where unknown.

    `blend` is the folder of 60_blend. `hidden_labels` (ID, label and, for the sample,
    click_probability) are the test labels: this function alone opens them.
    """
    table = json.loads((blend / "blend.json").read_text())
    rows = [
        {"name": name, **{column: judged.get(column) for column in COLUMNS}}
        for part in ("models", "blenders")
        for name, judged in table[part].items()
    ]
    bayes = None
    if hidden_labels is not None:
        labels = pl.read_parquet(hidden_labels)
        test = pl.read_parquet(blend / "test.parquet")
        joined = test.join(labels, on="ID", how="left", validate="1:1", maintain_order="left")
        truth = joined["label"].to_numpy()
        for row in rows:
            row["hidden"] = auc(truth, joined[row["name"]].to_numpy())
        if "click_probability" in labels.columns:
            bayes = auc(truth, joined["click_probability"].to_numpy())
    return {
        "rows": rows,
        "shipped": table["chosen"],
        "chosen_by": table["chosen_by"],
        "bayes": bayes,
    }


def shipped(judged: dict) -> dict:
    """The row of what was submitted."""
    return next(row for row in judged["rows"] if row["name"] == judged["shipped"])


def as_text(judged: dict) -> str:
    """The table for a terminal; `*` is what ships."""
    lines = [f"  {'':<16}{'CV ± sd':>19}{'valid':>10}{'hidden':>10}{'Bayes':>10}"]
    for row in judged["rows"]:
        star = "*" if row["name"] == judged["shipped"] else " "
        cv = "-" if row["cv"] is None else f"{row['cv']:.5f} ± {row['sd']:.5f}"
        figures = "".join(_cell(v) for v in (row["valid"], row["hidden"], judged["bayes"]))
        lines.append(f"{star} {row['name']:<16}{cv:>19}{figures}")
    kfold = judged["rows"][0]["cv"] is not None
    lines += [f"* ships, chosen by {judged['chosen_by']}.", FLATTERED_CV if kfold else FLATTERED]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.5f}"
