"""Read submissions/leaderboard.csv, the table of all runs, as people and their editors leave it.

80_report adds a row for each run. You may edit the file: correct a public score, add a column.
Padded cells, other line ends, and semicolons or tabs between the cells are read as well.
"""

import csv
from pathlib import Path

import polars as pl

from features.errors import InputError

FIGURES = ("cv", "sd", "valid", "hidden", "bayes", "public")  # AUCs, and the sd of CV over folds
WORDS = (
    "date", "submission", "data", "commit", "rules", "blend", "slates", "chosen_by", "tuned",
    "runs",
)  # fmt: skip
NAMES = (*WORDS, *FIGURES, "sentence", "typed")
SCHEMA = {name: pl.Float64 if name in FIGURES else pl.String for name in NAMES}
LATER = ("data", "slates", "chosen_by", "tuned", "typed")  # columns that older boards lack
SEPARATORS = ",;\t"


def read(board: Path) -> pl.DataFrame:
    """The rows, columns as in SCHEMA and whatever was added by hand; no rows without a file.

    Raises InputError where the file is no such table.
    """
    if not board.exists():
        return pl.DataFrame(schema=SCHEMA)
    rows = _cells(board)
    missing = [name for name in SCHEMA if name not in (*rows.columns, *LATER)]
    if missing:
        raise _refusal(board, f"no column {', '.join(missing)}")
    later = [pl.lit(None, pl.String).alias(name) for name in LATER if name not in rows.columns]
    added = [name for name in rows.columns if name not in SCHEMA]  # by hand
    rows = rows.with_columns(later).select(*SCHEMA, *added)
    for name in FIGURES:
        values = rows[name].cast(pl.Float64, strict=False)
        fine = values.is_between(0, 1).fill_null(False)
        wrong = rows[name].filter(rows[name].is_not_null() & ~fine)
        if len(wrong):
            raise _refusal(board, f"column {name} holds {wrong[0]!r}")
        rows = rows.with_columns(values)
    if rows["submission"].has_nulls():
        raise _refusal(board, "a row does not name its submission")
    twice = rows["submission"].filter(rows["submission"].is_duplicated())
    if len(twice):
        raise _refusal(board, f"{twice[0]} has several rows")
    return rows


def public_scores(board: Path, profile: str) -> dict[str, str]:
    """The public scores that are noted for submissions of `profile`."""
    rows = of_profile(board, profile).drop_nulls("public")
    return {name: f"{score:.5f}" for name, score in rows.select("submission", "public").rows()}


def of_profile(board: Path, profile: str) -> pl.DataFrame:
    """The rows of one profile's submissions."""
    return read(board).filter(pl.col("submission").str.starts_with(f"{profile}/"))


def of_data(board: Path, profile: str, data: str) -> pl.DataFrame:
    """The rows of one profile's submissions that can be compared: on equal data, or not known."""
    return of_profile(board, profile).filter((pl.col("data") == data).fill_null(True))


def _cells(board: Path) -> pl.DataFrame:
    """All cells as text without padding, null where nothing stands; blank lines are left out."""
    try:
        text = board.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise _refusal(board, f"no text in UTF-8 ({error})") from None
    if text.count('"') % 2:
        raise _refusal(board, "a quotation mark is not closed")
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    lines = csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True)
    try:
        rows = [[cell.strip() or None for cell in line] for line in lines]
    except csv.Error as error:
        raise _refusal(board, str(error)) from None
    rows = [row for row in rows if any(row)]
    if not rows:
        raise _refusal(board, "it is empty")
    head = [name or "" for name in rows.pop(0)]
    if len({*head}) < len(head):
        raise _refusal(board, "two columns have one name")
    for row in rows:
        if len(row) > len(head):
            raise _refusal(
                board, f"a row holds {len(row)} cells, more than the {len(head)} columns"
            )
        row += [None] * (len(head) - len(row))
    return pl.DataFrame(rows, schema=dict.fromkeys(head, pl.String), orient="row")


def _refusal(board: Path, problem: str) -> InputError:
    return InputError(
        f"{board}: {problem}; expected a CSV with the columns {', '.join(SCHEMA)}, scores from 0 to"
        " 1 and one row per submission. Correct it, or move it away to start a new one"
    )
