"""Columns of parquet files become checked numpy arrays, batch by batch.

Lists go through one Arrow flatten per batch, whatever list type and integer width the file has.
Rows with a reported violation are dropped, so that the other checks can run on the rest; if
anything was reported, nothing is written in the end.

A file may be damaged or hostile: a few hundred bytes can claim a list of 10^9 elements. The footer
says how many elements a row group holds: columns with more than MAX_ELEMENTS in one are not read,
and batches have fewer rows where lists are long. If the footer is wrong about that,
features.store.memory_limit makes the read fail in time.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import listed
from features.store import footers, validators
from features.store import schema as challenge
from features.store.schema import ColumnSpec
from features.store.validators import ViolationCallback, Violations

BATCH_ROWS = 100_000  # rows in memory at once: 80 MB for 100 int64 items each
BATCH_ELEMENTS = 128 * BATCH_ROWS  # of list columns
MAX_WIDTH = 10_000  # elements of a list; the challenge's longest have 128, raw vectors 1024
MAX_ELEMENTS = 1 << 27  # of a column in one row group: 1 GiB of int64
MAX_NAMES = 20  # column names that a message shows
READ_ERRORS = (pa.ArrowException, OSError, MemoryError, UnicodeError)  # from damaged files

NO_LISTS = (0, False)

ProgressCallback = Callable[[str, int, int], None]  # (file name, rows done, rows of the file)
RowValues = tuple[np.ndarray, np.ndarray]  # rows int64 (K,), values (K,) or (K, W)
ColumnReader = Callable[[pa.Array, int, ViolationCallback], RowValues]  # (batch, first row, report)


def open_files(paths: dict[str, Path], violations: Violations) -> dict[str, pq.ParquetFile]:
    """Open the parquet files; files of another kind become violations.

    Raises InputError for a folder of parts.
    """
    opened = {}
    for name, path in paths.items():
        challenge.refuse_folder(path)
        if not path.exists():
            violations.add(path.name, "", "a parquet file", f"no such file in {path.parent}")
            continue
        try:  # pre_buffer would keep everything that was read in memory
            file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
            names(file.schema_arrow)  # raises if they cannot be decoded
        except READ_ERRORS as error:
            violations.add(path.name, "", "a parquet file", reason(error))
            continue
        if footers.sound(path):
            opened[name] = file
        else:
            violations.add(path.name, "", "a parquet file", "a footer that contradicts itself")
    return opened


def reason(error: BaseException) -> str:
    """The first line of an error's text, printable and short."""
    return shown(str(error).partition("\n")[0] or type(error).__name__, 200)


def shown(text: str, most: int = 60) -> str:
    """Text from a file, made printable and cut to `most` characters."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= most else f"{text[:most]}..."


def names(schema: pa.Schema) -> str:
    """The columns of a file, as text."""
    return listed([shown(name) for name in schema.names], MAX_NAMES)


def is_kind(kind: str, dtype: pa.DataType) -> bool:
    """Whether values of this Arrow type are of a ColumnSpec's kind."""
    types = pa.types
    if kind == challenge.INTEGER:
        return types.is_integer(dtype)
    if kind == challenge.LEVEL:
        return types.is_integer(dtype) or types.is_boolean(dtype) or types.is_floating(dtype)
    if not (types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype)):
        return False
    if kind == challenge.FLOATS:
        return types.is_floating(dtype.value_type)
    return types.is_integer(dtype.value_type) or types.is_null(dtype.value_type)  # all are empty


def as_integers(array: pa.Array) -> pa.Array:
    """A list column; of type int32 where it has no type, as writers leave it of empty lists."""
    untyped = pa.types.is_null(array.type.value_type)
    return array.cast(pa.list_(pa.int32())) if untyped else array


KIND_TEXT = {
    challenge.INTEGER: "integers",
    challenge.LEVEL: "whole numbers",
    challenge.INTEGERS: "lists of integers",
    challenge.FLOATS: "lists of floats",
}


def usable_columns(
    name: str, file: pq.ParquetFile, columns: tuple[ColumnSpec, ...], violations: Violations
) -> list[ColumnSpec]:
    """The columns that exist, have the right kind and fit in memory; others become violations."""
    usable, schema = [], file.schema_arrow
    for column in columns:
        index = schema.get_field_index(column.name)
        if index < 0:
            found = f"columns {names(schema)}"
            violations.add(name, column.name, "one column of this name", found)
        elif not is_kind(column.kind, schema.field(index).type):
            found = f"type {shown(str(schema.field(index).type))}"
            violations.add(name, column.name, KIND_TEXT[column.kind], found)
        elif elements(file, column.name) > MAX_ELEMENTS:
            found = f"{elements(file, column.name)} elements in one row group"
            expected = f"at most {MAX_ELEMENTS}; smaller row groups if all lists are right"
            violations.add(name, column.name, expected, found)
        elif fixed_size(schema.field(index).type) > MAX_WIDTH:
            found = f"lists of {fixed_size(schema.field(index).type)} elements"
            violations.add(name, column.name, f"lists of at most {MAX_WIDTH} elements", found)
        else:
            usable.append(column)
    return usable


def fixed_size(dtype: pa.DataType) -> int:
    """The length of all lists of this type; 0 if the type does not fix it."""
    return dtype.list_size if pa.types.is_fixed_size_list(dtype) else 0


def chunks(file: pq.ParquetFile, column: str) -> Iterator[tuple[int, int]]:
    """For every row group: a column's elements (an empty list counts as one), and rows."""
    metadata = file.metadata
    leaves = [metadata.schema.column(i).path.split(".")[0] for i in range(metadata.num_columns)]
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for leaf in (i for i, name in enumerate(leaves) if name == column):
            yield group.column(leaf).num_values, group.num_rows


def elements(file: pq.ParquetFile, column: str) -> int:
    """The largest number of a column's elements in one row group."""
    return max((values for values, _ in chunks(file, column)), default=0)


def batch_rows(file: pq.ParquetFile, columns: list[str]) -> int:
    """How many rows to read at once: fewer than BATCH_ROWS where lists are long."""
    longest = max((v // max(r, 1) for name in columns for v, r in chunks(file, name)), default=1)
    return max(1, min(BATCH_ROWS, BATCH_ELEMENTS // max(longest, 1)))


def read_batches(
    name: str,
    file: pq.ParquetFile,
    columns: list[str],
    violations: Violations,
    rows: int | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches with the number of their first row; a damaged row ends them, with a violation."""
    start, total = 0, file.metadata.num_rows
    try:
        for batch in file.iter_batches(rows or batch_rows(file, columns), columns=columns):
            yield start, batch
            start += len(batch)
    except READ_ERRORS as error:
        found = f"{reason(error)} (after {start} rows)"
        violations.add(name, "", "rows that can be read", found)
    else:
        if start != total and columns:
            violations.add(name, "", f"{total} rows, as its footer says", f"{start} rows")


def list_width(
    name: str, file: pq.ParquetFile, column: str, violations: Violations
) -> tuple[int, bool]:
    """The commonest length of the first lists in `name`.parquet, and whether one holds a 0.

    The length is 0 where there are no lists.
    """
    index = file.schema_arrow.get_field_index(column)
    if index < 0 or not is_kind(challenge.INTEGERS, file.schema_arrow.field(index).type):
        return NO_LISTS
    dtype = file.schema_arrow.field(index).type
    if elements(file, column) > MAX_ELEMENTS or fixed_size(dtype) > MAX_WIDTH:
        return NO_LISTS  # usable_columns reports it
    for _, batch in read_batches(f"{name}.parquet", file, [column], violations):
        lists = as_integers(batch[column])
        width = commonest_length(lists)
        if width > MAX_WIDTH:
            expected = f"lists of at most {MAX_WIDTH} elements"
            violations.add(f"{name}.parquet", column, expected, f"lists of {width} elements")
        padded = bool(pc.any(pc.equal(lists.flatten(), 0)).as_py())
        return width, padded
    return NO_LISTS


def commonest_length(array: pa.Array) -> int:
    """The commonest length of the lists, the smallest if several tie; 0 if there are no lists."""
    lengths, counts = np.unique(pc.drop_null(pc.list_value_length(array)), return_counts=True)
    return int(lengths[counts.argmax()]) if len(lengths) else 0


def read_scalars(array: pa.Array, start: int, report: ViolationCallback) -> RowValues:
    """The values (K,) that are not null, with their rows in the file."""
    rows = np.arange(start, start + len(array))
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        report("no nulls", rows[~valid], ["null"] * validators.EXAMPLES)
        rows, array = rows[valid], array.drop_null()
    return rows, array.to_numpy(zero_copy_only=False)


def read_lists(array: pa.Array, start: int, width: int, report: ViolationCallback) -> RowValues:
    """The lists (K, width) of the right length without nulls, with their rows in the file."""
    rows = np.arange(start, start + len(array))
    lengths = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
    right = lengths == width
    if not right.all():
        null, wrong = lengths < 0, (lengths >= 0) & ~right
        report("no nulls", rows[null], ["null"] * validators.EXAMPLES)
        report(f"lists of {width} elements", rows[wrong], (f"{n} elements" for n in lengths[wrong]))
        rows, array = rows[right], array.filter(pa.array(right))
    flat = array.flatten()  # of a slice, only the slice
    if flat.null_count:
        valid = flat.is_valid().to_numpy(zero_copy_only=False).reshape(-1, width).all(axis=1)
        report("no nulls in lists", rows[~valid], ["null"] * validators.EXAMPLES)
        rows, flat = rows[valid], array.filter(pa.array(valid)).flatten()
    return rows, flat.to_numpy(zero_copy_only=False).reshape(-1, width)


def read_column(
    column: ColumnSpec, array: pa.Array, start: int, report: ViolationCallback
) -> RowValues:
    """Read one batch of a column and run the checks of its kind."""
    if column.width == 0:
        rows, values = read_scalars(array, start, report)
        rows, values = validators.whole_numbers(report, rows, values)
        validators.check_range(report, rows, values, column.low, column.high)
        return rows, values
    rows, values = read_lists(array, start, column.width, report)
    if column.kind == challenge.FLOATS:
        validators.check_finite(report, rows, values)
        return rows, values
    validators.check_range(report, rows, values, column.low, column.high)
    if column.left_padded:
        validators.check_left_padding(report, rows, values)
    return rows, values


def read_table(
    name: str,
    file: pq.ParquetFile,
    columns: tuple[ColumnSpec, ...],
    violations: Violations,
    progress: ProgressCallback | None = None,
    readers: dict[str, ColumnReader] | None = None,
) -> dict[str, RowValues]:
    """Checked columns of `name`.parquet, without those that cannot be read.

    `readers[column]`, where there is one, reads the column's batches in place of `read_column`.
    Everything is stored in the column's dtype.
    """
    readers = readers or {}
    name = f"{name}.parquet"
    usable = usable_columns(name, file, columns, violations)
    pieces = {column.name: [] for column in usable}
    for start, batch in read_batches(name, file, list(pieces), violations):
        for column in usable:
            report = violations.column(name, column.name)
            read = readers.get(column.name, partial(read_column, column))
            rows, values = read(batch[column.name], start, report)
            with np.errstate(over="ignore", invalid="ignore"):  # such values have been reported
                pieces[column.name].append((rows, values.astype(column.dtype, copy=False)))
        if progress:
            progress(name, start + len(batch), file.metadata.num_rows)
    return {column: concatenate(parts) for column, parts in pieces.items() if parts}


def concatenate(parts: list[RowValues]) -> RowValues:
    """The batches of a column as one."""
    rows, values = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(values)
