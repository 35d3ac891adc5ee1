"""Inputs that nobody meant, and plain readers that say what should become of them.

A reader here is slow and simple on purpose: Python loops over Python values, none of our code.
"""

import io
import math
import re
import struct
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import reject
from hypothesis import strategies as st

WIDTH, ITEMS = 4, 12  # of the tiny challenge that is mutated
INT64 = 2**63
NUMBERS = [0, 1, -1, 2, 5, 10, 11, ITEMS - 1, ITEMS, 2**31 - 1, 2**31, INT64 - 1, -INT64]
REALS = [0.0, 0.5, -1.0, math.nan, math.inf, -math.inf, 1e-50, 3e38, 1e39, 1e308]


# ---- tables of the challenge ----


@st.composite
def list_values(draw, wide: int, good, elements: list) -> list | None:
    """A list with an element or two of another kind, of another width, or none at all."""
    width = draw(st.sampled_from([wide] * 8 + [0, 1, wide - 1, wide + 1, 3 * wide, None]))
    if width is None:
        return None
    values = [good] * width
    for _ in range(draw(st.integers(0, 2)) if values else 0):
        values[draw(st.integers(0, width - 1))] = draw(st.sampled_from([*elements, None]))
    return values


CELLS = {
    "item_seq": list_values(WIDTH, 3, [0, 0, 0, 0, *NUMBERS]),
    "item_tags": list_values(5, 2, NUMBERS),
    "item_emb_d128": list_values(128, 0.5, REALS),
}
SCALARS = st.none() | st.sampled_from(NUMBERS)
SCALAR_TYPES = [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint64(), pa.float32()]
SCALAR_TYPES += [pa.float64(), pa.bool_(), pa.string(), pa.decimal128(20), pa.timestamp("s")]
SCALAR_TYPES += [pa.dictionary(pa.int32(), pa.int64()), pa.float16(), pa.null()]
ELEMENT_TYPES = [pa.int8(), pa.int16(), pa.int32(), pa.uint16(), pa.uint64(), pa.float16()]
ELEMENT_TYPES += [pa.float32(), pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.int32())]
FILES = ("train", "valid", "test", "item_info", "item_feature")


@st.composite
def changes(draw, tables: dict[str, pa.Table]) -> dict[str, bytes]:
    """One to three files of other bytes than they should have, by name."""
    changed = {}
    for name in draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=3, unique=True)):
        table = tables[name]
        for _ in range(draw(st.integers(0, 2))):
            table = draw(changed_table(table))
        changed[name] = draw(written(table)) if draw(st.booleans()) else parquet_bytes(table)
        if draw(st.integers(0, 3)) == 0:
            changed[name] = draw(damaged(changed[name]))
    return changed


def parquet_bytes(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, **options)
    except pa.ArrowException:  # no parquet has such columns
        reject()
    return sink.getvalue().to_pybytes()


@st.composite
def written(draw, table: pa.Table) -> bytes:
    """The same table in another shape of file."""
    return parquet_bytes(
        table,
        row_group_size=draw(st.sampled_from([1, 3, 7, 1000])),
        compression=draw(st.sampled_from(["none", "snappy", "gzip", "zstd"])),
        use_dictionary=draw(st.booleans()),
        write_page_checksum=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
    )


@st.composite
def changed_table(draw, table: pa.Table) -> pa.Table:
    """A cell, a column, or the rows of a table are other than they were."""
    kind = draw(st.sampled_from(["cell"] * 8 + ["type"] * 3 + ["drop", "double", "order", "rows"]))
    index = draw(st.integers(0, table.num_columns - 1))
    name, column = table.column_names[index], table.column(index)
    if kind == "cell" and len(table):
        values, row = column.to_pylist(), draw(st.integers(0, len(table) - 1))
        values[row] = draw(CELLS.get(name, SCALARS))
        return table.set_column(index, name, as_it_goes(values, column.type))
    if kind == "type":
        return table.set_column(index, name, retyped(draw, column))
    if kind == "drop" and table.num_columns > 1:
        return table.remove_column(index)
    if kind == "double":
        return table.append_column(name, column)
    if kind == "order":
        return table.select(draw(st.permutations(range(table.num_columns))))
    count = draw(st.sampled_from([0, 1, 2, len(table)]))
    rows = draw(st.lists(st.integers(0, max(0, len(table) - 1)), min_size=count, max_size=count))
    return table.take(pa.array(rows, pa.int64())) if len(table) else table


def as_it_goes(values: list, dtype: pa.DataType) -> pa.Array:
    """`values` in their old type, or in any that holds them."""
    for wanted in (dtype, None):
        try:
            return pa.array(values, wanted)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    return pa.array([str(value) for value in values])


def retyped(draw, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_list(column.type):
        element = draw(st.sampled_from([column.type.value_type] * 3 + ELEMENT_TYPES))
        kinds = [pa.list_, pa.large_list, lambda e: pa.list_(e, len(column[0].as_py() or [0]))]
        wanted = draw(st.sampled_from(kinds))(element)
    else:
        wanted = draw(st.sampled_from(SCALAR_TYPES))
    try:
        return column.cast(wanted, safe=False)
    except pa.ArrowException:
        return column


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Bytes lost, changed, or put in between."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "flip", "zero", "more", "other"]))
    at = draw(st.integers(0, len(data) - 1))
    if draw(st.booleans()):  # the footer is the last part
        at = max(0, len(data) - 1 - at % min(len(data), 1500))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            changed[(at + draw(st.integers(0, 40))) % len(data)] = draw(st.integers(0, 255))
        return bytes(changed)
    if kind == "zero":
        return data[:at] + bytes(min(50, len(data) - at)) + data[at + 50 :]
    if kind == "more":
        return data[:at] + draw(st.binary(min_size=1, max_size=30)) + data[at:]
    return draw(st.sampled_from([b"", b"PAR1", b"PAR1" * 3, b"<html>", b"ID,Task2\n0,1\n"]))


class Refused(Exception):
    """What a plain reader says of an input that must not be accepted."""


def must(fine: bool, what: str) -> None:
    if not fine:
        raise Refused(what)


def whole(values: list, low: int, high: int, what: str, integers: bool = True) -> list[int]:
    for value in values:
        must(isinstance(value, (int, float, np.floating)), f"{what} {value!r}")
        must(not integers or type(value) is int, f"{what} {value!r}")
        must(math.isfinite(value) and value == int(value), f"{what} {value!r}")
        must(low <= value <= high, f"{what} {value!r}")
    return [int(value) for value in values]


def list_of(values: list, width: int, what: str) -> None:
    for value in values:
        must(isinstance(value, list) and len(value) == width and None not in value, what)


def columns(data: bytes, wanted: list[str], what: str) -> tuple[dict[str, list], pa.Schema]:
    try:
        opened = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        table = opened.read(wanted)
        must(table.num_rows == opened.metadata.num_rows, "as many rows as the footer says")
        found = {name: table[name].to_pylist() for name in wanted}
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{what}: {error}") from error
    must(table.num_rows > 0, f"{what} has no rows")
    for name in set(wanted) & {"likes_level", "views_level", "label"}:
        dtype, types = table.schema.field(name).type, pa.types
        fine = types.is_integer(dtype) or types.is_boolean(dtype) or types.is_floating(dtype)
        must(fine, f"{name} {dtype}")
    return found, table.schema


def integer_typed(schema: pa.Schema, names: list[str]) -> None:
    for name in names:
        dtype = schema.field(name).type
        is_list = any(
            test(dtype)
            for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        )
        must(pa.types.is_integer(dtype.value_type if is_list else dtype), f"{name} {dtype}")


def plainly(files: dict[str, bytes]) -> dict:
    """What a store of these files must hold; raises Refused where there must be none."""
    info, schema = columns(files["item_info"], ["item_id", "item_tags", "item_emb_d128"], "info")
    integer_typed(schema, ["item_id", "item_tags"])
    n_items = len(info["item_id"])
    must(info["item_id"] == list(range(n_items)), "item_id is the row's number")
    list_of(info["item_tags"], 5, "five tags")
    list_of(info["item_emb_d128"], 128, "128 numbers")
    for tags in info["item_tags"]:
        whole(tags, 0, 2**31 - 1, "tag")
    for vector in info["item_emb_d128"]:
        largest = float(np.finfo(np.float32).max)
        must(all(not isinstance(x, (int, str)) and abs(x) <= largest for x in vector), "finite")
    must(not any(info["item_tags"][0]) and not any(info["item_emb_d128"][0]), "row 0 is padding")
    found = {"tags": info["item_tags"], "content": info["item_emb_d128"]}

    names = ["item_id", "likes_level", "views_level"]
    feature, schema = columns(files["item_feature"], names, "item_feature")
    integer_typed(schema, ["item_id"])
    ids = whole(feature["item_id"], 1, n_items - 1, "item_id")
    must(len(set(ids)) == len(ids), "an item twice")
    for name in names[1:]:
        found[name] = [0] * n_items
        for item, level in zip(ids, whole(feature[name], 0, 10, name, False), strict=True):
            found[name][item] = level

    width = None
    for name in ("train", "valid", "test"):
        last = "ID" if name == "test" else "label"
        wanted = ["user_id", "item_seq", "item_id", "likes_level", "views_level", last]
        rows, schema = columns(files[name], wanted, name)
        integer_typed(schema, ["user_id", "item_seq", "item_id", *["ID"] * (name == "test")])
        lengths = {len(h) if isinstance(h, list) else -1 for h in rows["item_seq"]}
        must(len(lengths) == 1, "lists of one width")
        width = width or max(lengths)
        must(lengths == {width} and width > 0, "lists of one width")
        for history in rows["item_seq"]:
            must(None not in history, "null in a list")
            whole(history, 0, n_items - 1, "history")
            real = [i for i in history if i]
            must(history == [0] * (width - len(real)) + real, "left padding")
        whole(rows["user_id"], 0, 2**31 - 1, "user")
        whole(rows["item_id"], 1, n_items - 1, "item")
        for level in ("likes_level", "views_level"):
            rows[level] = whole(rows[level], 0, 10, level, False)
        if name == "test":
            whole(rows["ID"], -INT64, INT64 - 1, "ID")
            must(len(set(rows["ID"])) == len(rows["ID"]), "an ID twice")
        else:
            rows["label"] = whole(rows["label"], 0, 1, "label", False)
            must(set(rows["label"]) == {0, 1}, "both labels")
        found[name] = rows
    return found


# ---- submissions ----

HEADER = b"ID,Task2"
PIECES = st.sampled_from(
    b"0|1|-1|+1|01| 1|1 |1.0|1e0|1_0|0x1|NaN|nan|inf|-inf|infinity|null|None|0.5|.5|5e-1|1e-400"
    b"|1.5|2|-0.25|1.01|1e400|-0|-0.0|1.0000000000000002|9223372036854775807|9223372036854775808|0.5f|\"0.5\"|'0.5'"
    b"|\xff|\x00|\xef\xbb\xbf|\xd9\xa3|\xc2\xbd|0,5|,|\r|\n|\r\n|\t|=1+1|true|1d0|0.5L|1.|"
    b"|1111111111111111111111111111111111111111111111111111111111111111111111111".split(b"|")
)


@st.composite
def submissions(draw, ids: list[int]) -> tuple[str, bytes]:
    """A file name and bytes: a csv, right or wrong in places, or a zip of it that may be broken."""
    rows = [[str(i).encode(), b"%.6f" % draw(st.floats(0, 1))] for i in ids]
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.integers(0, len(rows) - 1))
        kind = draw(st.sampled_from(["cell"] * 8 + ["drop", "double", "swap", "more"]))
        if kind == "cell":
            rows[row][draw(st.integers(0, len(rows[row]) - 1))] = draw(PIECES)
        elif kind == "drop" and len(rows) > 1:
            del rows[row]
        elif kind == "double":
            rows.insert(row, list(rows[row]))
        elif kind == "swap":
            rows[0], rows[row] = rows[row], rows[0]
        elif kind == "more":
            rows[row].append(draw(PIECES))
    header = draw(st.sampled_from([HEADER] * 30 + [b"ID,Task1", b"id,task2", b"Task2,ID", b""]))
    ending = draw(st.sampled_from([b"\n"] * 20 + [b"\r\n", b"\r"]))
    data = ending.join([header, *(b",".join(row) for row in rows)])
    data += draw(st.sampled_from([ending] * 20 + [b"", ending * 2, b"\x00", b"\x1a", b" "]))
    if draw(st.integers(0, 7)) == 0:
        data = draw(damaged(data)) if data else data
    if draw(st.integers(0, 2)):
        return "p.csv", data
    return "p.zip", draw(zips(data))


@st.composite
def zips(draw, data: bytes) -> bytes:
    name = draw(st.sampled_from(["prediction.csv"] * 8 + ["a/prediction.csv", "../prediction.csv"]))
    sink = io.BytesIO()
    method = draw(st.sampled_from([zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_STORED]))
    with zipfile.ZipFile(sink, "w", method) as out:
        out.writestr(name, data)
        if draw(st.integers(0, 6)) == 0:
            out.writestr(draw(st.sampled_from(["notes.txt", "/etc/passwd", "x/"])), b"")
    whole_zip = sink.getvalue()
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(whole_zip))
    if draw(st.integers(0, 5)) == 0:  # the directory lies about the size
        at = whole_zip.rindex(b"PK\x01\x02") + 24
        said = draw(st.sampled_from([0, 1, len(data) - 1, len(data) + 1, 2**32 - 2]))
        return whole_zip[:at] + struct.pack("<I", max(0, said)) + whole_zip[at + 4 :]
    return whole_zip


INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def submission_problem(name: str, data: bytes, ids: list[int]) -> str | None:
    """What is wrong with a submission, read line by line; None: it must pass."""
    try:
        if name.endswith(".zip") or data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.namelist() != ["prediction.csv"]:
                    return "names in the zip"
                data = archive.read("prediction.csv")
                if archive.getinfo("prediction.csv").file_size != len(data):
                    return "size"
        if re.search(rb"\r(?!\n)|\x00", data):
            return "a carriage return alone, or NUL"
        lines = [line.removesuffix("\r") for line in data.decode().removesuffix("\n").split("\n")]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _line_problem(lines, ids)


def _line_problem(lines: list[str], ids: list[int]) -> str | None:
    if not lines or lines[0] != HEADER.decode():
        return "header"
    scores = []
    if len(lines) != 1 + len(ids):
        return "number of rows"
    for line, want in zip(lines[1:], ids, strict=True):
        cells = line.split(",")
        if len(cells) != 2 or not INTEGER.fullmatch(cells[0]) or int(cells[0]) != want:
            return f"row {line!r}"
        if not NUMBER.fullmatch(cells[1]) or not 0 <= float(cells[1]) <= 1:
            return f"row {line!r}"
        scores.append(float(cells[1]))
    return "equal scores" if len(set(scores)) == 1 else None


# ---- a release ----

GARBAGE = st.sampled_from(
    b'\x00|\xff\xfe|"|""|,|\t|\n|\r|\r\n|#|1e9|-1|999999999999999999999|\xc2|\xe2\x80\xa8|nan|inf'
    b"| |'|\\|PAR1|\n\n\n|,,,,,,,,,|0|+1|1.0|0x1|\xd9\xa3".split(b"|")
)


@st.composite
def garbled(draw, data: bytes) -> bytes:
    """Text with garbage put in, or in the place of something."""
    for _ in range(draw(st.integers(0, 3))):
        at, gone = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 0, 1, 3, 8]))
        data = data[:at] + draw(GARBAGE) + data[at + gone :]
    return draw(damaged(data)) if data and draw(st.integers(0, 5)) == 0 else data


def cells(data: bytes, separator: str) -> list[list[str]] | None:
    """The cells of every line that holds any; None where quotes make them a matter of taste."""
    text = data.decode()
    if '"' in text:
        return None
    lines = [line.removesuffix("\r").split(separator) for line in text.split("\n")]
    for line in lines:
        while line and not line[-1].strip():
            line.pop()
    return [line for line in lines if line]


# ---- settings ----

LIKELY = """
    folds.n=3 folds.n=127 folds.n=128 folds.seed=7 folds.mode=official folds.mode=kfold
    train.seeds=0,1 train.seeds=[3] train.device=cpu train.device=cuda:1 train.workers=2
    train.threads=2 train.rows=host models=qin models=qin,din models=final rules=strict
    blend.method=rank_mean blend.method=best_single data.users=300 data.items=200 data.tags=50
    data.seed=9223372036854775807 data.source=sample data.dir=/tmp prepare.content=joint_pca
    prepare.codes=3 prepare.codebook=16 prepare.seed=1 prepare.content_width=32 qin.qnn.rows=1
    qin.qnn.layers=3 qin.fit.learning_rate=1 qin.fit.learning_rate=5e-4 network.fit.max_epochs=2
    network.embedding_dim=4 din.mlp.hidden=12,8 din.mlp.hidden=[4] final.final.block1=8,8
    qin.item_levels=true qin.interest=din qin.interest=mean artifacts=/tmp/a submissions=é
    network.fit.loss=focal network.max_len=20
"""
SAID = """
    0 1 2 3 -1 5 300 1.5 1e-3 nan inf true false qin qin,din sample research strict official auto
    0,1,2 0,0 [1] [1,2] [] [[]] {} {a=1} '' "a" 1970-01-01 0x10 1_000 9223372036854775808 a=b ~ ..
"""
LIKELY_WORDS = [tuple(word.split("=", 1)) for word in LIKELY.split()]
TEXTS = st.sampled_from(SAID.split()) | st.text(max_size=12)
LONG = st.sampled_from(
    ["9" * 5000, "[" * 3000, "0x" + "f" * 5000, "{a=" * 2000, "1\nfolds.n=4", "7\nx=1", '"\\u0000"']
)


@st.composite
def settings_words(draw) -> list[str]:
    """key=value words: most as they may be, others misspelt or with values of every kind."""
    words = []
    for _ in range(draw(st.integers(1, 3))):
        key, text = draw(st.sampled_from(LIKELY_WORDS))
        change = draw(st.integers(0, 9))
        if change == 0:
            at = draw(st.integers(0, len(key) - 1))
            key = key[:at] + draw(st.sampled_from(["", "x", ".", "=", " ", "\0"])) + key[at + 1 :]
        elif change <= 3:
            text = draw(TEXTS | LONG)
        words.append(f"{key}={text}")
    return words


def count(what: str, tally: Counter) -> str:
    """One line for whoever reads the output of the tests."""
    return (
        f"\n{what}: {tally['tried']} inputs tried, {tally['accepted']} accepted,"
        f" {tally['refused']} refused, {tally['wrong']} wrongly accepted,"
        f" {tally['traceback']} tracebacks"
    )


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.parquet").write_bytes(data)
