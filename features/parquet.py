"""Parquet columns to checked numpy arrays, batch by batch.

Lists go through one Arrow flatten per batch, whatever list type and integer width the file has.
A reader drops the rows it reports, so that the other checks go on; what is left is only kept when
nothing was reported.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import challenge, checks
from features.challenge import Column
from features.checks import Report, Violations

BATCH_ROWS = 100_000  # rows in memory at once: 80 MB for 100 int64 items each

Progress = Callable[[str, int, int], None]  # (file name, rows done, rows of the file)
Values = tuple[np.ndarray, np.ndarray]  # rows int64 (K,), values (K,) or (K, W)


def open_files(paths: dict[str, Path], violations: Violations) -> dict[str, pq.ParquetFile]:
    """Open the files that are parquet; the others become violations."""
    opened = {}
    for name, path in paths.items():
        try:
            opened[name] = pq.ParquetFile(path, pre_buffer=False)  # or all it read stays in memory
        except (pa.ArrowInvalid, OSError) as error:
            violations.add(path.name, "", "a parquet file", str(error).splitlines()[0])
    return opened


def is_kind(kind: str, dtype: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold what its kind asks for."""
    types = pa.types
    if kind == challenge.INTEGER:
        return types.is_integer(dtype)
    if kind == challenge.LEVEL:
        return types.is_integer(dtype) or types.is_boolean(dtype) or types.is_floating(dtype)
    if not (types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype)):
        return False
    element = types.is_integer if kind == challenge.INTEGERS else types.is_floating
    return element(dtype.value_type)


WANTED = {
    challenge.INTEGER: "integers",
    challenge.LEVEL: "whole numbers",
    challenge.INTEGERS: "lists of integers",
    challenge.FLOATS: "lists of floats",
}


def usable_columns(
    file: str, schema: pa.Schema, columns: tuple[Column, ...], violations: Violations
) -> list[Column]:
    """Columns that are there and of their kind; the others become violations."""
    usable = []
    for column in columns:
        index = schema.get_field_index(column.name)
        if index < 0:
            found = "columns " + ", ".join(schema.names)
            violations.add(file, column.name, "a column of this name", found)
        elif not is_kind(column.kind, schema.field(index).type):
            found = f"type {schema.field(index).type}"
            violations.add(file, column.name, WANTED[column.kind], found)
        else:
            usable.append(column)
    return usable


def read_batches(
    name: str,
    file: pq.ParquetFile,
    columns: list[str],
    violations: Violations,
    rows: int = BATCH_ROWS,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches with the number of their first row; damaged rows end them with a violation."""
    start = 0
    try:
        for batch in file.iter_batches(rows, columns=columns):
            yield start, batch
            start += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        found = f"{str(error).splitlines()[0]} (after {start} rows)"
        violations.add(name, "", "rows that can be read", found)


def list_width(name: str, file: pq.ParquetFile, column: str, violations: Violations) -> int | None:
    """The width that most of the first lists in `name`.parquet have; None where there are none."""
    index = file.schema_arrow.get_field_index(column)
    if index < 0 or not is_kind(challenge.INTEGERS, file.schema_arrow.field(index).type):
        return None
    for _, batch in read_batches(f"{name}.parquet", file, [column], violations):
        lengths = pc.drop_null(pc.list_value_length(batch[column])).to_numpy()
        return int(np.bincount(lengths).argmax()) if len(lengths) else None
    return None


def read_scalars(array: pa.Array, start: int, report: Report) -> Values:
    """Values (K,) that are not null, with their rows in the file."""
    rows = np.arange(start, start + len(array))
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        report("no nulls", rows[~valid], ["null"] * checks.EXAMPLES)
        rows, array = rows[valid], array.drop_null()
    return rows, array.to_numpy(zero_copy_only=False)


def read_lists(array: pa.Array, start: int, width: int, report: Report) -> Values:
    """Lists (K, width) without nulls and of the right width, with their rows in the file."""
    rows = np.arange(start, start + len(array))
    lengths = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
    right = lengths == width
    if not right.all():
        null, wrong = lengths < 0, (lengths >= 0) & ~right
        report("no nulls", rows[null], ["null"] * checks.EXAMPLES)
        report(f"lists of {width} elements", rows[wrong], (f"{n} elements" for n in lengths[wrong]))
        rows, array = rows[right], array.filter(pa.array(right))
    flat = array.flatten()  # of a slice, only the slice
    if flat.null_count:
        valid = flat.is_valid().to_numpy(zero_copy_only=False).reshape(-1, width).all(axis=1)
        report("no nulls in lists", rows[~valid], ["null"] * checks.EXAMPLES)
        rows, flat = rows[valid], array.filter(pa.array(valid)).flatten()
    return rows, flat.to_numpy(zero_copy_only=False).reshape(-1, width)


def read_column(column: Column, array: pa.Array, start: int, report: Report) -> Values:
    """Read one batch of a column and run the checks that its kind asks for."""
    if column.width == 0:
        rows, values = read_scalars(array, start, report)
        rows, values = checks.whole_numbers(report, rows, values)
        checks.check_range(report, rows, values, column.low, column.high)
        return rows, values
    rows, values = read_lists(array, start, column.width, report)
    if column.kind == challenge.FLOATS:
        checks.check_finite(report, rows, values)
        return rows, values
    checks.check_range(report, rows, values, column.low, column.high)
    if column.left_padded:
        checks.check_left_padding(report, rows, values)
    return rows, values


def read_table(
    name: str,
    file: pq.ParquetFile,
    columns: tuple[Column, ...],
    keep: dict[str, Callable[[np.ndarray], np.ndarray]],
    violations: Violations,
    progress: Progress | None = None,
) -> dict[str, Values]:
    """Checked columns of `name`.parquet; those that cannot be read are left out.

    `keep[column]` maps a batch's values to what is kept of them (K,); without one they are kept in
    the column's dtype.
    """
    name = f"{name}.parquet"
    usable = usable_columns(name, file.schema_arrow, columns, violations)
    pieces = {column.name: [] for column in usable}
    for start, batch in read_batches(name, file, list(pieces), violations):
        for column in usable:
            report = violations.column(name, column.name)
            rows, values = read_column(column, batch[column.name], start, report)
            kept = keep[column.name](values) if column.name in keep else values
            pieces[column.name].append((rows, kept.astype(column.dtype, copy=False)))
        if progress:
            progress(name, start + len(batch), file.metadata.num_rows)
    return {column: concatenate(parts) for column, parts in pieces.items() if parts}


def concatenate(parts: list[Values]) -> Values:
    """The batches of a column as one."""
    rows, values = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(values)
