"""Is this file a valid submission? A zip with prediction.csv at its root, or that csv itself.

    ID,Task2
    0,0.8731...

ID as in test.parquet and in its order, Task2 the click score in [0, 1]. The challenge's scorer
gives 0 for a column that it cannot find, so whatever differs from the above is refused here.

run     python -m submissions.check FILE --ids test.parquet
exit    0 fine (warnings included), 2 refused; one line a problem
"""

import argparse
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from features.errors import InputError
from submissions import archive

ID, SCORE = "ID", "Task2"
HEADER = f"{ID},{SCORE}"
MAX_TIED = 0.05  # share of rows; ties throw away order, which is all that AUC sees
FIRST = 2  # line number of the first data row


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The problems of one file: `errors` refuse it, `warnings` do not."""

    errors: list[str]
    warnings: list[str]
    rows: int = 0
    tied: float = 0.0  # share of rows whose score equals another row's


def check(path: Path, ids: np.ndarray | None = None) -> CheckReport:
    """Every problem of one file.

    ids  (N,) int64: the IDs of the test rows in their order; None: IDs must only be distinct
    Raises InputError when the file cannot be opened; everything else is in the report.
    """
    data = _bytes(path)
    try:
        table = _table(path.name, data)
    except InputError as error:
        return CheckReport(errors=str(error).splitlines(), warnings=[])
    score = table[SCORE].cast(pl.Float64, strict=False)
    tied = int(score.is_duplicated().sum()) / len(score)
    warning = f"{tied:.1%} of the scores are tied; expected at most {MAX_TIED:.0%}"
    return CheckReport(
        errors=_id_errors(table[ID], ids) + _score_errors(table[SCORE], score),
        warnings=[f"{warning}: do they saturate?"] if tied > MAX_TIED else [],
        rows=len(table),
        tied=tied,
    )


def read_scores(path: Path, ids: np.ndarray) -> np.ndarray:
    """Scores (N,) float64 of a submission for the test rows `ids` (N,) int64.

    Raises InputError with every problem that `check` finds.
    """
    errors = check(path, ids).errors
    if errors:
        raise InputError(f"{path} is no submission for this test set: " + "; ".join(errors))
    return _table(path.name, _bytes(path))[SCORE].cast(pl.Float64).to_numpy()


def read_ids(path: Path) -> np.ndarray:
    """Column ID (N,) int64 of a parquet or csv file. Raises InputError when there is none."""
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


def _table(name: str, data: bytes) -> pl.DataFrame:
    """The rows of a csv, or of the csv in a zip. Raises InputError, one line a problem."""
    return _parse(archive.extract(data) if archive.is_zip(name, data) else data)


def _parse(data: bytes) -> pl.DataFrame:
    """The cells as text, columns ID and Task2, at least one row; row i stands on line i + FIRST."""
    header, _, body = data.partition(b"\n")
    _check_text(data)
    _check_header(header.decode().rstrip("\r"))
    if not body:
        raise InputError("the file has no rows below its header")
    ragged: list[csv.InvalidRow] = []

    def skip(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(use_threads=False),  # threads would lose the line numbers
            parse_options=csv.ParseOptions(
                quote_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            convert_options=csv.ConvertOptions(
                column_types={ID: pa.string(), SCORE: pa.string()}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"not a csv: {error}") from error
    if ragged:
        first = ragged[0]
        raise InputError(
            f"line {first.number}: got {first.text[:200]!r}, expected 2 cells in every row"
            f" ({len(ragged)} such rows)"
        )
    return pl.DataFrame({name: pl.Series(table[name]) for name in (ID, SCORE)})


def _check_text(data: bytes) -> None:
    if not data.strip():
        raise InputError(f"the file is empty; expected the header {HEADER} and a row per test ID")
    if data.startswith(b"\xef\xbb\xbf"):
        raise InputError("the file starts with a byte order mark; save it as UTF-8 without one")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"line {line} is not UTF-8; save the file as UTF-8") from error
    lone_return = re.search(rb"\r(?!\n)", data)
    if lone_return:
        line = data.count(b"\n", 0, lone_return.start()) + 1
        raise InputError(f"line {line} holds a carriage return alone; end lines with a newline")


def _check_header(header: str) -> None:
    if header == HEADER:
        return
    names = header.split(",")
    missing = [name for name in (ID, SCORE) if name not in names]
    extra = [name for i, name in enumerate(names) if name not in (ID, SCORE) or name in names[:i]]
    parts = [f"missing: {', '.join(missing)}"] * bool(missing)
    shown = [name if name.isprintable() else repr(name)[1:-1] for name in extra[:10]]
    parts += [f"not expected: {', '.join(shown)[:200]}"] * bool(extra)
    detail = "; ".join(parts) or "in another order"
    raise InputError(f"line 1: got the columns {header[:200]!r}; expected {HEADER} ({detail})")


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


def _score_errors(text: pl.Series, score: pl.Series) -> list[str]:
    number = score.is_not_nan().fill_null(False)
    errors = _first(~number, text, "a number in every row")
    outside = number & ~score.is_between(0, 1)
    errors += _first(outside, text, "values in [0, 1], write probabilities")
    if score.n_unique() == 1 and not errors:
        errors.append(f"all {len(score)} scores are {text[0]}; expected scores that rank the rows")
    return errors


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
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        report = check(options.file, read_ids(options.ids) if options.ids else None)
    except InputError as error:
        report = CheckReport(errors=[str(error)], warnings=[])
    for kind, lines in (("error", report.errors), ("warning", report.warnings)):
        for line in lines:
            print(f"{kind}: {line}")
    if report.errors:
        print(f"refused: {options.file}")
        return 2
    compared = "" if options.ids else "; IDs not compared with the test set (--ids)"
    print(f"ok: {report.rows} rows, {report.tied:.1%} tied".replace("%", " %") + compared)
    return 0


if __name__ == "__main__":
    sys.exit(main())
