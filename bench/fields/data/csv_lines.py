"""Lines of a csv file, by Python's csv module: for its header, and for messages.

pyarrow, which reads the rows, numbers them from where a block begins, and columns from 0. Python's
module is slow, so that only a file in which something is wrong is read with it.
"""

import csv
import gzip
import io
import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from features.store.parquet import shown

SEPARATORS = {"semicolons": ";", "tabs": "\t", "vertical bars": "|", "spaces": " "}
LONGEST = 1 << 26  # characters of a value; pyarrow reads fewer
END = "\0end"  # stands behind the last line; within a value where its quote is open


def unpacked(raw: BinaryIO, path: Path) -> BinaryIO | gzip.GzipFile:
    """The bytes of the file `path`, opened as `raw`."""
    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


def records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows, without empty lines, each with the line in which it begins, from 1.

    Bytes that are no UTF-8 are surrogates. Raises csv.Error, with the line, for a quote that the
    file does not close, and for a value of more than LONGEST characters.
    """
    with path.open("rb") as raw, unpacked(raw, path) as stream, _long_values():
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        reader, line = csv.reader(itertools.chain(text, [END])), 1
        try:
            for values in reader:
                if values and values[-1].endswith(END):
                    if values == [END]:
                        return
                    raise csv.Error("a quote is not closed")
                if values:
                    yield line, values
                line = reader.line_num + 1
        except csv.Error as error:
            raise csv.Error(f"line {line:,}: {error}") from None


@contextmanager
def _long_values() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def header(path: Path) -> list[str]:
    """The names in the first line that is not empty."""
    return next(records(path), (0, []))[1]


def line_of(path: Path, row: int) -> int | None:
    """The line in which row number `row` begins, counted from 0 without the header."""
    return next(itertools.islice(records(path), row + 1, None), (None, []))[0]


def first_fault(path: Path, wanted: Collection[str]) -> str:
    """Which line is the first that is no row of the header's columns, and why.

    Only columns that are `wanted` must be UTF-8. An empty text where every line is right.
    """
    names: list[str] = []
    for line, values in records(path):
        names = names or values
        if len(values) != len(names):
            expected = f"expected {len(names):,} values, one for each column"
            return f"line {line:,}: {expected}; got {len(values):,}"
        if "".join(values).isascii():
            continue
        for name, value in zip(names, values, strict=True):
            data = value.encode("utf-8", "surrogateescape")
            if name in wanted and not _is_utf8(data):
                return (
                    f"line {line:,}, {shown(repr(name))}: got {shown(repr(data))}, expected UTF-8:"
                    " write the file in this encoding"
                )
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def header_hint(names: list[str]) -> str:
    """What is wrong with a file whose header lacks columns, where the header tells it."""
    if not names:
        return "the file is empty"
    text = ",".join(names)
    if "\0" in text:
        return "the file is in UTF-16 or the like: write it in UTF-8"
    if len(names) != 1:
        return ""
    counts = {name: text.count(mark) for name, mark in SEPARATORS.items()}
    name = max(counts, key=lambda name: counts[name])
    if not counts[name]:
        return ""
    return f"the first line has no comma but {counts[name]:,} {name}: write the file with commas"
