"""Is this file a valid submission? A zip with prediction.csv at its root, or
that csv itself.

    ID,Task2
    0,0.8731...

ID as in test.parquet and in its order, Task2 the click score in [0, 1]. The
columns Task1 and Task1&2 may stand beside it: the challenge's scorer takes each
of the three, gives 0 for one that it cannot find, and shows the best. Whatever
else differs from the above is refused here.

run     python -m submissions.check FILE --ids test.parquet [--task 'Task1&2']
exit    0 fine (warnings included), 2 refused; one line a problem
"""

import argparse
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from features.errors import InputError
from submissions import archive
from submissions.table import CHOOSE, FIRST, ID, SCORE, TASKS, parse

A_NUMBER = "a number in every row"
MAX_TIED = 0.05  # share of rows; ties throw away order, which is all that AUC sees


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The problems of one file: `errors` refuse it, `warnings` and `notes` do not."""

    errors: list[str]
    warnings: list[str]
    notes: list[str] = field(default_factory=list)  # what the columns beside the task's hold
    rows: int = 0
    tied: float = 0.0  # share of rows whose score equals another row's


def check(path: Path, ids: np.ndarray | None = None, task: str = SCORE) -> CheckReport:
    """Every problem of one file.

    ids   (N,) int64: the IDs of the test rows in their order; None: IDs must only be distinct
    task  one of TASKS: the column that is meant as the score
    Raises InputError when the file cannot be opened; everything else is in the report.
    """
    data = _bytes(path)
    try:
        table = _table(path.name, data, task)
    except InputError as error:
        return CheckReport(errors=str(error).splitlines(), warnings=[])
    score = table[task].cast(pl.Float64, strict=False)
    others = table.drop(ID, task)
    tied = int(score.is_duplicated().sum()) / len(score)
    warning = (
        f"{tied:.1%} of the scores are tied; expected at most {MAX_TIED:.0%}: do they saturate, or"
        " does the network read nothing of these rows' histories?"
    )
    return CheckReport(
        errors=[
            *_id_errors(table[ID], ids),
            *_score_errors(table[task], score, others),
            *(error for text in others for error in _first(~_is_number(text), text, A_NUMBER)),
        ],
        warnings=[warning] if tied > MAX_TIED else [],
        notes=[_holds(text, score) for text in others],
        rows=len(table),
        tied=tied,
    )


def read_scores(path: Path, ids: np.ndarray, task: str = SCORE) -> np.ndarray:
    """Scores (N,) float64 in the column `task` of a submission, for the test rows `ids` (N,) int64.

    Raises InputError with every problem that `check` finds.
    """
    errors = check(path, ids, task).errors
    if errors:
        raise InputError(f"{path} is no submission for this test set: " + "; ".join(errors))
    return _table(path.name, _bytes(path), task)[task].cast(pl.Float64).to_numpy()


def read_ids(path: Path) -> np.ndarray:
    """Column ID (N,) int64 of a parquet or csv file. Raises InputError when there is none."""
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a parquet or csv with column {ID}")
    try:
        if path.suffix == ".csv":
            options = csv.ConvertOptions(include_columns=[ID], column_types={ID: pa.int64()})
            column = csv.read_csv(path, convert_options=options)[ID]
        else:
            column = pq.ParquetFile(path).read([ID])[ID]
        if not pa.types.is_integer(column.type):
            raise InputError(f"{path}: expected integers in {ID}; got {str(column.type)[:60]}")
        ids = pl.Series(ID, column.cast(pa.int64()))
    except (OSError, KeyError, UnicodeError, MemoryError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"{path}: expected a parquet or csv with column {ID}; {reason}") from error
    if ids.null_count() or not ids.is_unique().all():
        raise InputError(f"{path}: expected distinct values of {ID}; got empty or doubled ones")
    return ids.to_numpy()


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file; give a csv, or a zip with {archive.NAME} in it")
        size = path.stat().st_size
        if size > archive.MAX_FILE:
            raise InputError(f"{path} has {size} bytes; expected at most {archive.MAX_FILE}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _table(name: str, data: bytes, task: str) -> pl.DataFrame:
    """The rows of a csv, or of the csv in a zip. Raises InputError, one line a problem."""
    return parse(archive.extract(data) if archive.is_zip(name, data) else data, task)


def _id_errors(text: pl.Series, ids: np.ndarray | None) -> list[str]:
    got = text.cast(pl.Int64, strict=False)
    errors = _first(got.is_null(), text, "an integer")
    if errors:
        return errors
    errors = _first(~got.is_first_distinct(), text, "every ID once, keep one of its rows")
    if ids is None:
        return errors
    want = pl.Series(ids, dtype=pl.Int64)
    missing = want.filter(~want.is_in(got.implode()))
    if len(missing):
        errors.append(
            f"expected a row for each of {len(want)} test IDs; {len(missing)} are missing,"
            f" first {missing[0]}: add them"
        )
    errors += _first(~got.is_in(want.implode()), text, "only IDs of the test set, drop others")
    if errors:
        return errors
    return _first(got != want, text, "the order of the test set, sort rows by it")


def _score_errors(text: pl.Series, score: pl.Series, others: pl.DataFrame) -> list[str]:
    number = _is_number(text)
    errors = _first(~number, text, A_NUMBER)
    outside = number & ~score.is_between(0, 1)
    errors += _first(outside, text, "values in [0, 1], write probabilities")
    if score.n_unique() == 1 and not errors:
        ranks = [name for name in others.columns if others[name].n_unique() > 1]
        errors.append(
            f"all {len(score)} scores are {text[0]}; expected scores that rank the rows"
            + f"; {', '.join(ranks)} does: {CHOOSE}" * bool(ranks)
        )
    return errors


def _is_number(text: pl.Series) -> pl.Series:
    return text.cast(pl.Float64, strict=False).is_not_nan().fill_null(False)


def _holds(text: pl.Series, score: pl.Series) -> str:
    """What a column beside the task's holds."""
    values = text.cast(pl.Float64, strict=False)
    if values.n_unique() == 1:
        return f"{text.name} holds {text[0][:80]} in every row"
    if (values == score).all():
        return f"{text.name} holds the same scores"
    found = values.to_numpy()
    return f"{text.name} holds other scores, from {found.min():.5g} to {found.max():.5g}"


def _first(bad: pl.Series, text: pl.Series, expected: str) -> list[str]:
    """At most one line: the first bad cell, its line, and the number of bad cells."""
    if not bad.any():
        return []
    row = int(bad.arg_true()[0])
    return [
        f"line {row + FIRST}: got {text.name} {text[row][:80]!r}, expected {expected}"
        f" ({bad.sum()} such rows)"
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m submissions.check", description="Check a submission before it is sent."
    )
    parser.add_argument("file", type=Path, help="a zip that holds prediction.csv, or the csv")
    parser.add_argument("--ids", type=Path, help="test.parquet, or a csv with column ID")
    parser.add_argument("--task", choices=TASKS, default=SCORE, help=f"the score; {SCORE}")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        report = check(options.file, read_ids(options.ids) if options.ids else None, options.task)
    except InputError as error:
        report = CheckReport(errors=[str(error)], warnings=[])
    for kind, lines in (("error", report.errors), ("warning", report.warnings)):
        for line in lines:
            print(f"{kind}: {line}")
    if report.errors:
        print(f"refused: {options.file}")
        return 2
    if report.notes:
        print(f"{options.task} is checked as the score; the leaderboard shows the best column:")
        print("\n".join(f"  {note}" for note in report.notes))
    compared = "" if options.ids else "; IDs not compared with the test set (--ids)"
    print(f"ok: {report.rows} rows, {report.tied:.1%} tied".replace("%", " %") + compared)
    return 0


if __name__ == "__main__":
    sys.exit(main())
