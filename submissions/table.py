"""The rows of a submission: a csv of text cells, with ID and at least one of the tasks' columns.

The challenge's scorer takes each of the columns Task1, Task2 and Task1&2 that a file has, gives 0
for one that it cannot find, and its leaderboard shows the best of the three.
"""

import re

import polars as pl
import pyarrow as pa
from pyarrow import csv

from features.errors import InputError

ID, SCORE = "ID", "Task2"
HEADER = f"{ID},{SCORE}"
TASKS = ("Task1", "Task2", "Task1&2")
FIRST = 2  # line number of the first data row
CHOOSE = "choose it with --task, or blend.external_task of a run"


def parse(data: bytes, task: str) -> pl.DataFrame:
    """The cells as text, columns as in the file, at least one row; row i stands on line i + FIRST.

    Raises InputError, one line a problem.
    """
    header, _, body = data.partition(b"\n")
    _check_text(data)
    names = _columns(header.decode().rstrip("\r"), task)
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
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"not a csv: {error}") from error
    if ragged:
        first = ragged[0]
        raise InputError(
            f"line {first.number}: got {first.text[:200]!r}, expected {len(names)} cells in every"
            f" row ({len(ragged)} such rows)"
        )
    return pl.DataFrame({name: pl.Series(table[name]) for name in names})


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


def _columns(header: str, task: str) -> list[str]:
    """The names in `header`: ID first, then distinct ones of TASKS with `task` among them."""
    names = header.split(",")
    known = (ID, *TASKS)
    missing = [name for name in (ID, task) if name not in names]
    extra = [name for i, name in enumerate(names) if name not in known or name in names[:i]]
    if not (missing or extra) and names[0] == ID:
        return names
    parts = [f"missing: {', '.join(missing)}"] * bool(missing)
    shown = [name if name.isprintable() else repr(name)[1:-1] for name in extra[:10]]
    parts += [f"not expected: {', '.join(shown)[:200]}"] * bool(extra)
    detail = "; ".join(parts) or "in another order"
    if missing == [task] and not extra:
        detail += f"; {names[-1]} is there: {CHOOSE}"
    expected = f"{ID},{task}, and beside it at most {', '.join(t for t in TASKS if t != task)}"
    raise InputError(f"line 1: got the columns {header[:200]!r}; expected {expected} ({detail})")
