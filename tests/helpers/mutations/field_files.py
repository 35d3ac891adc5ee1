"""Mutations of csv files of fields, and a plain reader of them: loops over Python's csv rows."""

import codecs
import csv
import gzip
import io
import itertools
import math
import re
from collections import Counter

import numpy as np
from hypothesis import strategies as st

from bench.fields.data.schema import Schema
from bench.fields.data.store import FieldData
from tests.helpers.mutations.damage import damaged
from tests.helpers.mutations.plain_store import require

SPLITS = ("train", "valid", "test")
HEADER = ["label", "price", "city", "id"]
SCHEMA = Schema(
    label="label", categorical=("city", "id"), numeric=("price",), min_count=2, scale="standard"
)
CELLS = [
    "",
    "0",
    "1",
    "1.0",
    "0.0",
    "2",
    "3",
    "3.0",
    "3.00",
    "03",
    "-3.0",
    "-0.0",
    "3.5",
    ".5",
    "1e3",
]
CELLS += [
    "True",
    "false",
    "nan",
    "NULL",
    "inf",
    "1e39",
    "-1e-50",
    "9" * 25,
    "68fd1e64",
    "a,b",
    'say "a"',
    "x\ny",
    "x\r\ny",
]
CELLS += [
    " 3",
    "3 ",
    "é",
    "名",
    "\0",
    "12345678901234567890.0",
    "1_000",
    "+1",
    "--1",
    "1.",
    "3.0.0",
    ".",
]
LARGEST = float(np.finfo(np.float32).max)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@st.composite
def field_files(draw) -> dict[str, bytes]:
    """The bytes of train, valid and test; up to two of them have something unusual."""
    files = {}
    odd = draw(st.lists(st.sampled_from(SPLITS), max_size=2))
    for split in SPLITS:
        n = draw(st.integers(2, 12))
        cells = st.sampled_from(["3", "7", "12", "paris", ""])
        rows = [
            [str(i % 2), draw(st.sampled_from(["0.5", "2", "", "-1.25"])), draw(cells), draw(cells)]
            for i in range(n)
        ]
        header = list(HEADER)
        for _ in range(odd.count(split)):
            _change(draw, header, rows)
        files[split] = _written(draw, [header, *rows])
        if split in odd and draw(st.integers(0, 3)) == 0:
            files[split] = draw(damaged(files[split]))
    return files


def _change(draw, header: list[str], rows: list[list[str]]) -> None:
    """Change a cell, mostly; else a column, or the number of cells in a row."""
    kind = draw(
        st.sampled_from(["cell"] * 8 + ["drop", "double", "extra", "swap", "ragged", "no rows"])
    )
    row = draw(st.integers(0, max(0, len(rows) - 1)))
    at = draw(st.integers(0, len(HEADER) - 1))
    if kind == "no rows":
        rows.clear()
    elif kind == "ragged" and rows:
        rows[row] = [*rows[row], "1"] if draw(st.booleans()) else rows[row][:-1]
    elif kind == "cell" and rows and at < len(rows[row]):
        rows[row][at] = draw(st.sampled_from(CELLS))
    elif all(len(r) == len(header) for r in rows):
        for line in (header, *rows):
            if kind == "drop" and at < len(line):
                del line[at]
            elif kind == "double":
                line.append(line[at % len(line)])
            elif kind == "extra":
                line.insert(0, "more" if line is header else "x")
            elif kind == "swap":
                line.reverse()


def _written(draw, lines: list[list[str]]) -> bytes:
    """The lines as csv, in one of the ways that programs write it."""
    stream = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    csv.writer(stream, quoting=quoting, lineterminator=end).writerows(lines)
    text = stream.getvalue()
    if draw(st.integers(0, 5)) == 0:
        text = text.removesuffix(end)
    start = codecs.BOM_UTF8 if draw(st.integers(0, 5)) == 0 else b""
    return start + text.encode()


def read_plainly(files: dict[str, bytes], schema: Schema) -> dict:
    """The contents of a store of `files`, as lists. Raises InvalidFiles, with the reason."""
    tables = {split: _table(data, schema) for split, data in files.items()}
    seen = {
        name: _vocabulary(tables["train"][name], schema.min_count) for name in schema.categorical
    }
    contents = {"sizes": [len(seen[name]) + 2 for name in schema.categorical]}
    scale = {name: _scale(tables["train"][name], schema.scale) for name in schema.numeric}
    for split, table in tables.items():
        codes = [[seen[n].get(v, len(seen[n]) + 1) for v in table[n]] for n in schema.categorical]
        numbers = [[(x - scale[n][0]) / scale[n][1] for x in table[n]] for n in schema.numeric]
        scaled = np.array(numbers, np.float64).T
        require(bool((np.abs(scaled) <= LARGEST).all()), "float32 once scaled")
        contents[split] = (table[schema.label], list(map(list, zip(*codes, strict=True))), scaled)
    return contents


def _table(data: bytes, schema: Schema) -> dict[str, list]:
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    lines = [line for line in csv.reader([*io.StringIO(text, newline=""), "END"]) if line]
    require(lines.pop() == ["END"], "every quote closed")
    require(bool(lines), "a header")
    header, *rows = lines
    for name in schema.columns:
        require(header.count(name) == 1, f"one column {name}")
    require(all(len(row) == len(header) for row in rows), "as many values as columns")
    table = {name: [row[header.index(name)] for row in rows] for name in schema.columns}
    read = "".join(itertools.chain(*table.values()))
    require(not any("\ud800" <= letter <= "\udfff" for letter in read), "UTF-8")
    for name in schema.numeric:
        table[name] = [_number(value.strip()) for value in table[name]]
    for name in (schema.label, *schema.categorical):
        table[name] = [re.sub(r"^(-?[0-9]+)\.0+$", r"\1", value) for value in table[name]]
    truth = {"true": "1", "false": "0"}
    table[schema.label] = [truth.get(v.lower(), v) for v in table[schema.label]]
    require(set(table[schema.label]) == {"0", "1"}, "labels 0 and 1, both")
    table[schema.label] = list(map(int, table[schema.label]))
    return table


def _number(text: str) -> float:
    if not text or text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    require(NUMBER.fullmatch(text) is not None, f"a number: {text!r}")
    value = float(text)
    require(abs(value) <= LARGEST, f"a float32: {text!r}")
    return value


def _vocabulary(values: list[str], min_count: int) -> dict[str, int]:
    kept = sorted(value for value, count in Counter(values).items() if count >= min_count)
    if all(re.fullmatch(r"-?[0-9]{1,18}", value) for value in kept):
        kept.sort(key=int)
    return {value: row for row, value in enumerate(kept, 1)}


def _scale(values: list[float], how: str) -> tuple[float, float]:
    if how == "standard":
        mean = math.fsum(values) / len(values)
        return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / len(values)) or 1.0
    if how == "min_max":
        return min(values), max(values) - min(values) or 1.0
    return 0.0, 1.0


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def assert_holds(data: FieldData, plain: dict) -> None:
    """Fail unless the opened store holds what `read_plainly` found."""
    assert data.sizes == plain["sizes"]
    for split in SPLITS:
        label, codes, numbers = plain[split]
        assert data.label[split].tolist() == label
        assert data.rows[split].columns.tolist() == codes
        np.testing.assert_allclose(data.rows[split].numbers.numpy(), numbers, rtol=1e-6, atol=1e-7)
