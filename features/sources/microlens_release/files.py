"""The tables of a public MicroLens release, checked line by line.

A value stays text until it has been checked, so that a message can show it with its line.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from features.errors import InputError

LIMITS = {  # the item table has a row per id up to the largest, so ids may not run wild
    "user": (0, 2**31 - 1),
    "item": (1, 10_000_000),
    "timestamp": (0, 2**63 - 1),
    "likes": (0, 2**63 - 1),
    "views": (0, 2**63 - 1),
}
OPTIONAL = ("likes", "views")  # may be missing


def read_pairs(path: Path) -> tuple[pl.DataFrame, int]:
    """Events (user, item, time as Int64, exact repetitions once), and the number of users."""
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
    """item Int64 (each once), title String (null: none)."""
    return _checked(_table(path, "item,title"), path, unique="item")


def read_counts(path: Path) -> pl.DataFrame:
    """item Int64 (each once), likes and views Int64 (null: unknown)."""
    return _checked(_table(path, "item\tlikes\tviews", header=False), path, unique="item")


def read_array(path: Path, n_rows: int) -> np.ndarray:
    """One modality float32 (1 + n_rows, width): row 0 zeros, row i the array's row i - 1."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # no more than the file holds, no pickle
    except Exception as error:  # whatever a damaged or hostile header makes numpy raise
        found = str(error).partition("\n")[0][:200]
        raise InputError(f"{path}: found no plain .npy array ({found})") from error
    if array.ndim != 2 or len(array) != n_rows or array.dtype.kind != "f":
        raise InputError(
            f"{path}: found {array.dtype} {array.shape}; expected floats ({n_rows}, width),"
            f" a row for every item id from 1 to {n_rows}"
        )
    if not (np.abs(array) <= np.finfo(np.float32).max).all():
        raise InputError(f"{path}: found NaN or infinity; expected finite float32 numbers")
    return np.concatenate([np.zeros((1, array.shape[1])), array], dtype=np.float32)


def gather(*calls: Callable) -> list:
    """What every call returns; or one InputError with the messages of all that raised one."""
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
    """Text columns and `line` (of the file), without blank lines. `columns`: as a header has them.

    Every line is parsed as if there were no header and one more column than expected, so that a
    wrong header and a line with too many values can be shown.
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
        found = ascii(str(error).partition("\n")[0])[1:-1]
        raise InputError(f"{path}: {found}; expected closed quotes") from error
    breaks = pl.sum_horizontal(pl.col(names).str.count_matches("\n").fill_null(0))
    table = table.with_columns(line=pl.int_range(1, pl.len() + 1) + breaks.cum_sum() - breaks)
    if header:
        found = table[:1].select(pl.concat_str(names, separator=separator, ignore_nulls=True))
        if found.to_series().to_list() != [columns]:
            raise InputError(f"{path}: line 1 is not the header; expected {columns!r}")
        table = table[1:]
    problems = _fault(path, table, "extra", pl.col("extra").is_not_null(), f"{len(names)} columns")
    line = _overfull(data, separator, len(names), quotes=header)
    if line is not None and not problems:
        problems = [f"{path}: line {line} holds something behind its {len(names)} columns"]
    if problems:
        raise InputError(*problems)
    return table.drop("extra").filter(~pl.all_horizontal(pl.col(names).is_null()))


def _overfull(data: bytes, separator: str, n_columns: int, quotes: bool) -> int | None:
    """The line of the first row with text further behind than the one more column that is read."""
    if quotes:  # of quoted text, a letter and its line ends are enough
        data = re.sub(rb'"[^"]*"', lambda found: b"q" + b"\0" * found[0].count(b"\n"), data)
    cell, gap = f"[^{separator}\n]*".encode(), separator.encode()
    found = re.search(b"^(?:" + cell + gap + b"){%d}[^\n]*[^\\s%b]" % (n_columns, gap), data, re.M)
    return found and 1 + sum(data.count(end, 0, found.start()) for end in (b"\n", b"\0"))


def _utf8(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error
    return data


def _checked(table: pl.DataFrame, path: Path, unique: str = "") -> pl.DataFrame:
    """Cast the columns of LIMITS to Int64; raises with all that are outside, or not `unique`."""
    problems = []
    for name in LIMITS.keys() & set(table.columns):
        low, high = LIMITS[name]
        number = pl.col(name).cast(pl.Int64, strict=False)
        wrong = ~number.is_between(low, high).fill_null(False)
        if name in OPTIONAL:
            wrong &= pl.col(name).is_not_null()
        problems += _fault(path, table, name, wrong, f"a whole number from {low} to {high}")
        if name == unique:
            doubled = ~number.is_first_distinct() & number.is_not_null()
            problems += _fault(path, table, name, doubled, f"every {name} once")
    if problems:
        raise InputError("\n".join(sorted(problems)))
    return table.cast({name: pl.Int64 for name in table.columns if name in LIMITS})


def _fault(path: Path, table: pl.DataFrame, name: str, wrong: pl.Expr, expected: str) -> list[str]:
    """One message with the first three wrong values of a column and their lines; or none."""
    bad = table.filter(wrong)
    if bad.is_empty():
        return []
    shown = ", ".join(
        f"{value!r} (line {line})" if value is not None else f"nothing (line {line})"
        for value, line in bad.select(name, "line").head(3).iter_rows()
    )
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return [f"{path}: {name} is {shown}{more}; expected {expected}"]
