"""Mutations of the challenge's parquet files."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import reject
from hypothesis import strategies as st

from tests.helpers.mutations.damage import damaged

WIDTH, ITEMS = 4, 12  # of the tiny challenge that the tests mutate
INT64 = 2**63
NUMBERS = [0, 1, -1, 2, 5, 10, 11, ITEMS - 1, ITEMS, 2**31 - 1, 2**31, INT64 - 1, -INT64]
REALS = [0.0, 0.5, -1.0, math.nan, math.inf, -math.inf, 1e-50, 3e38, 1e39, 1e308]


@st.composite
def list_values(draw, right_width: int, good, elements: list) -> list | None:
    """A list, often of `right_width`, in which up to two elements are drawn; sometimes None."""
    others = [0, 1, right_width - 1, right_width + 1, 3 * right_width, None]
    width = draw(st.sampled_from([right_width] * 8 + others))
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
def mutated_files(draw, tables: dict[str, pa.Table]) -> dict[str, bytes]:
    """The bytes of one to three mutated files, by name."""
    changed = {}
    for name in draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=3, unique=True)):
        table = tables[name]
        for _ in range(draw(st.integers(0, 2))):
            table = draw(mutated_table(table))
        changed[name] = draw(rewritten(table)) if draw(st.booleans()) else parquet_bytes(table)
        if draw(st.integers(0, 3)) == 0:
            changed[name] = draw(damaged(changed[name]))
    return changed


def parquet_bytes(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, **options)
    except pa.ArrowException:  # parquet cannot hold such columns
        reject()
    return sink.getvalue().to_pybytes()


@st.composite
def rewritten(draw, table: pa.Table) -> bytes:
    """The same table, written with other options."""
    return parquet_bytes(
        table,
        row_group_size=draw(st.sampled_from([1, 3, 7, 1000])),
        compression=draw(st.sampled_from(["none", "snappy", "gzip", "zstd"])),
        use_dictionary=draw(st.booleans()),
        write_page_checksum=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
    )


@st.composite
def mutated_table(draw, table: pa.Table) -> pa.Table:
    """`table` with another cell, column, column type or selection of rows."""
    kind = draw(st.sampled_from(["cell"] * 8 + ["type"] * 3 + ["drop", "double", "order", "rows"]))
    index = draw(st.integers(0, table.num_columns - 1))
    name, column = table.column_names[index], table.column(index)
    if kind == "cell" and len(table):
        values, row = column.to_pylist(), draw(st.integers(0, len(table) - 1))
        values[row] = draw(CELLS.get(name, SCALARS))
        return table.set_column(index, name, array_of(values, column.type))
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


def array_of(values: list, dtype: pa.DataType) -> pa.Array:
    """`values` as `dtype`, else as a type that Arrow infers, else as text."""
    for candidate in (dtype, None):
        try:
            return pa.array(values, candidate)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    return pa.array([str(value) for value in values])


def retyped(draw, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """`column` in a drawn type; unchanged where Arrow cannot cast it."""
    if pa.types.is_list(column.type):
        element = draw(st.sampled_from([column.type.value_type] * 3 + ELEMENT_TYPES))
        kinds = [pa.list_, pa.large_list, lambda e: pa.list_(e, len(column[0].as_py() or [0]))]
        dtype = draw(st.sampled_from(kinds))(element)
    else:
        dtype = draw(st.sampled_from(SCALAR_TYPES))
    try:
        return column.cast(dtype, safe=False)
    except pa.ArrowException:
        return column


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.parquet").write_bytes(data)
