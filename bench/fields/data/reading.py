"""Read the columns of a csv, csv.gz or parquet file, by name, in batches of bounded memory.

A categorical value is text, as it stands in the file, except that a whole number written with
zeros behind its point is that number (3.0, as pandas writes whole numbers where some are missing,
is 3). No value is an empty text, a category like others. A numeric value is a number, or 0 where
there is none. Labels are 0 and 1. `true` and `false`, in any case, are 1 and 0 in both.
"""

import csv
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bench.fields.data import csv_lines
from features.errors import InputError, listed
from features.store.parquet import MAX_NAMES, READ_ERRORS, reason, shown

BLOCK = 1 << 23  # bytes of a csv that are parsed together; pyarrow reads 32 blocks ahead
BATCH_ROWS = 1 << 17  # of a parquet file
DISTINCT = pa.dictionary(pa.int32(), pa.string())
HOLD_NUMBERS = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean,
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null,
)  # fmt: skip
UNREADABLE = (*READ_ERRORS, EOFError, zlib.error, csv.Error)
TRUTH = {"false": 0, "true": 1}
WHOLE_FLOAT = r"^(-?[0-9]+)\.0+$"


@dataclass(frozen=True, slots=True)
class Column:
    """Values of a categorical column: each different one once, and which one each row has.

    Shapes: index (N,) int32, position in `values`, which may hold a value twice
    """

    values: pl.Series
    index: np.ndarray


class FieldFile:
    """One file, opened to read the columns `wanted`.

    Raises InputError where it is no such file or lacks a column; `batches` does, too.

    extra  columns of the file that are not read
    rows   before the batch that was read last
    """

    def __init__(self, path: Path, wanted: Sequence[str], numeric: Sequence[str]) -> None:
        self.path, self.wanted, self.numeric = path, list(wanted), set(numeric)
        self.is_parquet = path.suffix == ".parquet"
        self.n_batches = self.rows = 0
        try:
            if self.is_parquet:
                self.parquet = pq.ParquetFile(
                    path, pre_buffer=False, page_checksum_verification=True
                )
                header = self.parquet.schema_arrow.names
            else:
                self.bytes = _Bytes(path)
                header = csv_lines.header(path)
        except UNREADABLE as error:
            self._refuse(error)
        self._require_once(header)
        if self.is_parquet:
            self._require_types(self.parquet.schema_arrow)
        self.extra = [name for name in header if name not in self.wanted]

    def _require_once(self, header: list[str]) -> None:
        counts = Counter(header)
        wrong = [name for name in self.wanted if counts[name] != 1]
        if wrong:
            hint = "" if self.is_parquet else csv_lines.header_hint(header)
            raise InputError(
                f"{self.path}: "
                + (hint or f"got the columns {quoted(header)}")
                + f"; expected {quoted(wrong)} among the columns, once"
            )

    def _require_types(self, schema: pa.Schema) -> None:
        """Raise InputError for a nested column, and for a numeric one without numbers."""
        for name in self.wanted:
            dtype = schema.field(name).type
            dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
            expected = "one value a row" if pa.types.is_nested(dtype) else ""
            if name in self.numeric and not any(is_kind(dtype) for is_kind in HOLD_NUMBERS):
                expected = "numbers"
            if expected:
                got = shown(str(dtype))
                raise InputError(
                    f"{self.path}: {shown(repr(name))}: got {got}, expected {expected}"
                )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the wanted columns. `rows` counts those of earlier batches."""
        try:
            done = 0
            for batch in self._batches():
                self.n_batches += 1
                self.rows, done = done, done + len(batch)
                if len(batch):
                    yield batch
            self.rows = done
            if not self.is_parquet and self.bytes.n_quotes % 2:
                csv_lines.first_fault(self.path, ())  # raises where the last quote is open
        except UNREADABLE as error:
            self._refuse(error)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self.is_parquet:
            with self.parquet:
                yield from self.parquet.iter_batches(BATCH_ROWS, columns=self.wanted)
            return
        types = {n: pa.string() if n in self.numeric else DISTINCT for n in self.wanted}
        with self.bytes as stream:
            yield from pa_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=pa_csv.ReadOptions(block_size=BLOCK, use_threads=False),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=types, include_columns=self.wanted, strings_can_be_null=False
                ),
            )

    @property
    def share(self) -> float:
        """How much of the file the batches so far are, in [0, 1]."""
        if self.is_parquet:
            return min(1.0, self.n_batches * BATCH_ROWS / max(1, self.parquet.metadata.num_rows))
        return self.bytes.share(self.n_batches)

    @property
    def md5(self) -> str | None:
        """Of the unpacked bytes, once they have been read; None for parquet."""
        return None if self.is_parquet else self.bytes.digest.hexdigest()

    def column(self, batch: pa.RecordBatch, name: str) -> Column:
        """The categorical column `name` of the batch that was read last."""
        try:
            return _distinct(batch.column(name))
        except READ_ERRORS as error:
            self._refuse(error)

    def label(self, batch: pa.RecordBatch, name: str) -> np.ndarray:
        """The labels (N,) uint8 of the batch that was read last. Raises InputError."""
        found = self.column(batch, name)
        texts = found.values.str.to_lowercase()
        codes = texts.replace_strict({"0": 0, "1": 1} | TRUTH, default=2, return_dtype=pl.UInt8)
        label = codes.to_numpy()[found.index]
        wrong = label > 1
        if wrong.any():
            row = int(wrong.argmax())
            self.refuse_value(
                row, name, found.values[int(found.index[row])], "0 or 1, false or true"
            )
        return label

    def numbers(
        self, batch: pa.RecordBatch, name: str, shift: float = 0.0, divisor: float = 1.0
    ) -> np.ndarray:
        """The numeric column `name` of the batch that was read last, (N,) float64, less `shift`,
        divided by `divisor`.

        Raises InputError where a value, or what it becomes, is no finite number of float32.
        """
        try:
            column = batch.column(name)
            is_coded = pa.types.is_dictionary(column.type)
            values = pl.Series(column.dictionary_decode() if is_coded else column)
            if values.dtype == pl.String:
                text = values.str.strip_chars()
                numbers = text.cast(pl.Float64, strict=False)
                wrong = numbers.is_null() & (text != "")
                if wrong.any():
                    truth = text.str.to_lowercase().replace_strict(
                        TRUTH, default=None, return_dtype=pl.Float64
                    )
                    numbers = numbers.zip_with(~wrong, truth)
                    wrong = numbers.is_null() & (text != "")
            else:
                numbers = values.cast(pl.Float64, strict=False)
                wrong = numbers.is_null() & values.is_not_null()
        except (*READ_ERRORS, pl.exceptions.PolarsError) as error:
            self._refuse(error)
        found = numbers.fill_null(0.0).to_numpy()
        with np.errstate(over="ignore"):
            scaled = (found - shift) / divisor
        most = np.maximum(np.abs(found), np.abs(scaled))  # nan where either is
        bad = wrong.fill_null(False).to_numpy() | ~(most <= np.finfo(np.float32).max)
        if bad.any():
            row = int(bad.argmax())
            expected = "a finite number (float32, also once it is scaled), or nothing"
            self.refuse_value(row, name, values[row], expected)
        return scaled

    def refuse_value(self, row: int, name: str, value: Any, expected: str) -> NoReturn:
        """Raise InputError about a value in `row` of the batch that was read last."""
        row += self.rows
        try:
            line = None if self.is_parquet else csv_lines.line_of(self.path, row)
        except UNREADABLE as error:
            self._refuse(error)
        place = f"row {row + 1:,}" if line is None else f"line {line:,}"
        raise InputError(
            f"{self.path}: {place}, {shown(repr(name))}: got {shown(repr(value))}, expected"
            f" {expected}"
        )

    def _refuse(self, error: Exception) -> NoReturn:
        kind, why = "parquet file" if self.is_parquet else "csv table in UTF-8", reason(error)
        if not self.is_parquet and isinstance(error, pa.ArrowException):
            try:
                why = csv_lines.first_fault(self.path, self.wanted) or why
            except UNREADABLE as damage:
                why = reason(damage)
        raise InputError(f"{self.path}: not a {kind}: {why}") from None


class _Bytes:
    """The unpacked bytes of a file, as pyarrow reads them: a block at a time, many ahead.

    n_quotes  in the blocks so far: an odd number where one is not closed, to which pyarrow objects
              only where another column follows
    """

    closed = False

    def __init__(self, path: Path) -> None:
        self.raw = path.open("rb")
        self.stream = csv_lines.unpacked(self.raw, path)
        self.size = path.stat().st_size
        self.digest = hashlib.md5(usedforsecurity=False)
        self.n_quotes = 0
        self.ends: list[int] = []  # of each block in the packed file

    def __enter__(self) -> "_Bytes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, n: int = -1) -> bytes:
        block = self.stream.read(n)
        self.digest.update(block)
        self.n_quotes += block.count(b'"')
        self.ends.append(self.raw.tell())
        return block

    def share(self, n_blocks: int) -> float:
        return self.ends[min(n_blocks, len(self.ends)) - 1] / max(1, self.size)

    def close(self) -> None:
        self.closed = True
        self.stream.close()
        self.raw.close()


def quoted(names: Sequence[str]) -> str:
    """Quoted names of columns, for a message."""
    return listed([shown(repr(name)) for name in names], MAX_NAMES)


def _distinct(column: pa.Array) -> Column:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode(null_encoding="encode")
    values = pl.Series(_text(column.dictionary), dtype=pl.String).fill_null("")
    if values.str.contains(".", literal=True).any():
        values = values.str.replace(WHOLE_FLOAT, "${1}")
    index = column.indices
    if index.null_count:  # a null that is no value of the dictionary
        index = pc.fill_null(index, len(values))
        values = values.append(pl.Series([""]))
    return Column(values, index.to_numpy(zero_copy_only=False).astype(np.int32, copy=False))


def _text(values: pa.Array) -> pa.Array:
    """`values` of any type as text: true is 1, and a whole number has no point and no exponent."""
    if pa.types.is_boolean(values.type):
        return values.cast(pa.uint8()).cast(pa.string())
    if not pa.types.is_floating(values.type):
        return values.cast(pa.string())
    values = values.cast(pa.float64())
    whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
    integers = pc.if_else(whole, values, 0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, integers, values.cast(pa.string()))
