"""The tables of a public MicroLens release, checked line by line.

A value stays text until it has been checked, so that a message can show it with its line.
"""

import codecs
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from features.errors import InputError
from features.store.parquet import shown

LIMITS = {  # the item table has a row for each id up to the largest, so ids are limited
    "user": (0, 2**31 - 1),
    "item": (1, 10_000_000),
    "timestamp": (0, 2**63 - 1),
    "likes": (0, 2**63 - 1),
    "views": (0, 2**63 - 1),
}
OPTIONAL = ("likes", "views")  # a value may be missing


def read_pairs(path: Path) -> tuple[pl.DataFrame, int]:
    """Distinct events (user, item, time, all Int64), and the number of users."""
    pairs, n_users = (_pairs_csv if path.suffix == ".csv" else _pairs_tsv)(path)
    if pairs.is_empty():
        raise InputError(f"{path}: found no events; expected users with items")
    return pairs, n_users


def _pairs_csv(path: Path) -> tuple[pl.DataFrame, int]:
    pairs = _checked(_table(path, "user,item,timestamp"), path)
    pairs = pairs.select("user", "item", time="timestamp").unique()
    return pairs, pairs["user"].n_unique()


def _pairs_tsv(path: Path) -> tuple[pl.DataFrame, int]:
    table = _table(path, "user\titems", header=False)
    items = table.select("line", item=pl.col("items").str.extract_all(r"\S+")).explode("item")
    users, items = gather(
        partial(_checked, table.select("line", "user"), path, unique="user"),
        partial(_checked, items.drop_nulls(), path),
    )
    pairs = items.join(users, on="line", validate="m:1", maintain_order="left")
    return pairs.select("user", "item", time=pl.int_range(pl.len())), len(users)


def read_titles(path: Path) -> pl.DataFrame:
    """item Int64 (unique), title String (null if there is none)."""
    return _checked(_table(path, "item,title"), path, unique="item")


def read_counts(path: Path) -> pl.DataFrame:
    """item Int64 (unique), likes and views Int64 (null if unknown)."""
    return _checked(_table(path, "item\tlikes\tviews", header=False), path, unique="item")


def read_array(path: Path, n_rows: int) -> np.ndarray:
    """One modality float32 (1 + n_rows, width): row 0 is zeros, row i is row i - 1 of the array."""
    try:
        array = np.lib.format.open_memmap(
            path, mode="r"
        )  # reads no more than the file holds, and no pickle
    except Exception as error:  # whatever a damaged or hostile header makes numpy raise
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"{path}: found no plain .npy array ({reason})") from error
    if array.ndim != 2 or len(array) != n_rows or array.dtype.kind != "f":
        raise InputError(
            f"{path}: found {array.dtype} {array.shape}; expected floats ({n_rows}, width),"
            f" a row for every item id from 1 to {n_rows}"
        )
    if not (np.abs(array) <= np.finfo(np.float32).max).all():
        raise InputError(f"{path}: found NaN or infinity; expected finite float32 numbers")
    return np.concatenate([np.zeros((1, array.shape[1])), array], dtype=np.float32)


def gather(*calls: Callable) -> list:
    """The results of all calls; if some raise InputError, one InputError with all messages."""
    results, problems = [], []
    for call in calls:
        try:
            results.append(call())
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return results


def _table(path: Path, columns: str, *, header: bool = True) -> pl.DataFrame:
    """The file as text columns and `line`, its line number, without blank lines.

    `columns` is the header that the file has, or would have; it may be missing where line 1 begins
    with a number. Every line is parsed as if there were no header and one column more, so that a
    message can show a wrong header and a value too many.
    """
    separator = "\t" if "\t" in columns else ","
    names, data = columns.split(separator), _utf8(path)
    try:
        table = pl.read_csv(
            data,
            separator=separator,
            has_header=False,
            schema=dict.fromkeys([*names, "extra"], pl.String),
            quote_char='"' if header else None,
            truncate_ragged_lines=True,
            missing_columns="insert",
            extra_columns="ignore",
        )
    except pl.exceptions.ComputeError as error:
        reason = ascii(str(error).partition("\n")[0])[1:-1]
        raise InputError(f"{path}: {reason}; expected closed quotes") from error
    breaks = pl.sum_horizontal(pl.col(names).str.count_matches("\n").fill_null(0))
    table = table.with_columns(line=pl.int_range(1, pl.len() + 1) + breaks.cum_sum() - breaks)
    first = table[:1].select(pl.concat_str(names, separator=separator, ignore_nulls=True))
    line_1 = (first.to_series().to_list() or [""])[0]
    if header and line_1 == columns:
        table = table[1:]
    elif header and not line_1.partition(separator)[0].isdecimal():
        raise InputError(
            f"{path}: line 1 is not the header; found {shown(line_1)!r}, expected {columns!r}, or"
            f" no header and {names[0]} ids from line 1 on"
        )
    problems = _problem(
        path, table, "extra", pl.col("extra").is_not_null(), f"{len(names)} columns"
    )
    line = _overfull(data, separator, len(names), quotes=header)
    if line is not None and not problems:
        problems = [f"{path}: line {line} has text after its {len(names)} columns"]
    if problems:
        raise InputError(*problems)
    return table.drop("extra").filter(~pl.all_horizontal(pl.col(names).is_null()))


def _overfull(data: bytes, separator: str, n_columns: int, quotes: bool) -> int | None:
    """The first line with text beyond the one extra column that `_table` reads; or None."""
    if quotes:  # a letter and the line ends of a quoted text are enough here
        data = re.sub(rb'"[^"]*"', lambda match: b"q" + b"\0" * match[0].count(b"\n"), data)
    cell, gap = f"[^{separator}\n]*".encode(), separator.encode()
    match = re.search(b"^(?:" + cell + gap + b"){%d}[^\n]*[^\\s%b]" % (n_columns, gap), data, re.M)
    return match and 1 + sum(data.count(end, 0, match.start()) for end in (b"\n", b"\0"))


def _utf8(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error
    return data.removeprefix(codecs.BOM_UTF8)


def _checked(table: pl.DataFrame, path: Path, unique: str = "") -> pl.DataFrame:
    """Cast the columns of LIMITS to Int64; raises InputError with all values that do not fit."""
    problems = []
    for name in LIMITS.keys() & set(table.columns):
        low, high = LIMITS[name]
        number = pl.col(name).cast(pl.Int64, strict=False)
        wrong = ~number.is_between(low, high).fill_null(False)
        if name in OPTIONAL:
            wrong &= pl.col(name).is_not_null()
        problems += _problem(path, table, name, wrong, f"a whole number from {low} to {high}")
        if name == unique:
            doubled = ~number.is_first_distinct() & number.is_not_null()
            problems += _problem(path, table, name, doubled, f"every {name} once")
    if problems:
        raise InputError("\n".join(sorted(problems)))
    return table.cast({name: pl.Int64 for name in table.columns if name in LIMITS})


def _problem(
    path: Path, table: pl.DataFrame, name: str, wrong: pl.Expr, expected: str
) -> list[str]:
    """A message with the first three wrong values of a column and their lines; or none."""
    bad = table.filter(wrong)
    if bad.is_empty():
        return []
    shown = ", ".join(
        f"{value!r} (line {line})" if value is not None else f"nothing (line {line})"
        for value, line in bad.select(name, "line").head(3).iter_rows()
    )
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return [f"{path}: {name} is {shown}{more}; expected {expected}"]
