"""Encode the three files of a data set into a store, once.

Vocabularies and scales are those of train alone: its categorical columns are read twice, once to
count. The files are read in batches and the arrays written as they come, so that memory holds the
vocabularies and the blocks that are being parsed.
"""

import hashlib
import inspect
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa

from bench.fields.data import reading, vocabulary
from bench.fields.data.reading import FieldFile
from bench.fields.data.schema import Schema
from bench.fields.data.store import FACTS, VOCABULARY, unpublished_splits
from bench.fields.data.vocabulary import Moments, ValueCounts, Vocabulary
from features.errors import InputError
from features.store.hashing import sha256
from features.store.schema import SPLITS
from pipeline.artifacts import store
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec, record, require

STAGE = "bench.fields.data"
ENCODING = ("label", "categorical", "numeric", "min_count", "scale")  # what decides the bytes
SECONDS_BETWEEN_LINES = 10.0
SAID_FROM = 1 << 30  # bytes of the files, from which on reading them takes seconds


def stored(files: Mapping[str, Path], schema: Schema, out: Path) -> Path:
    """The folder in `out` that holds `files`, encoded: written now, unless it is there already.

    Raises InputError for files that do not fit `schema`; nothing is left of them.
    """
    spec = _spec(files, schema, out)
    if not spec.done:
        with locked(spec.lock, f"{STAGE} {spec.path}"):
            if not spec.done:
                _build(files, schema, spec)
    return require(spec)


def _spec(files: Mapping[str, Path], schema: Schema, out: Path) -> ArtifactSpec:
    settings = {name: getattr(schema, name) for name in ENCODING}
    if (size := sum(files[split].stat().st_size for split in SPLITS)) > SAID_FROM:
        print(f"{STAGE} reads {size:,} bytes for their sha256, which names the store", flush=True)
    inputs = {split: sha256(files[split]) for split in SPLITS}
    here = (reading, vocabulary, _build, _count, _encode, _Array)
    code = hashlib.sha256("".join(map(inspect.getsource, here)).encode()).hexdigest()
    return ArtifactSpec(STAGE, "store", out, settings, inputs | {"code": code})


def _build(files: Mapping[str, Path], schema: Schema, spec: ArtifactSpec) -> None:
    started = time.perf_counter()
    opened = {s: FieldFile(files[s], schema.columns, schema.numeric) for s in SPLITS}
    for file in opened.values():
        if file.extra:
            left = reading.quoted(file.extra)
            print(f"{file.path}: columns that the schema does not name are left out: {left}")
    with store.write_artifact(spec) as out:
        vocabularies, scales = _count(files["train"], schema)
        rows = {}
        for split, file in opened.items():
            (out / split).mkdir()
            rows[split] = _encode(file, schema, vocabularies, scales, out / split)
        facts = {
            "label": schema.label,
            "categorical": {name: v.size for name, v in vocabularies.items()},
            "numeric": scales,
            "rows": rows,
        }
        out.report["md5"] = {split: file.md5 for split, file in opened.items()}
        (out / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        pl.concat(
            v.values.to_frame("value").select(pl.lit(name).alias("field"), "value")
            for name, v in vocabularies.items()
        ).write_parquet(out / VOCABULARY)
    if others := unpublished_splits(spec.path, schema):
        named = ", ".join(f"{files[split]} ({why})" for split, why in others.items())
        print(f"not known to be the published files: {named}")
    size = sum(path.stat().st_size for path in spec.path.rglob("*") if path.is_file())
    print(
        f"{STAGE} {spec.path}: {', '.join(f'{n:,} rows of {s}' for s, n in rows.items())},"
        f" {sum(facts['categorical'].values()):,} rows of vocabularies, {size:,} bytes"
        f" ({time.perf_counter() - started:.1f} s, peak {record(spec.path)['peak_mib']:,} MiB)",
        flush=True,
    )


def _count(
    path: Path, schema: Schema
) -> tuple[dict[str, Vocabulary], dict[str, tuple[float, float]]]:
    """Vocabulary of each categorical field, shift and divisor of each numeric one."""
    counts = {name: ValueCounts() for name in schema.categorical}
    moments = {name: Moments() for name in schema.numeric if schema.scale != "none"}
    file = FieldFile(path, (*moments, *counts), schema.numeric)
    for batch in _reported(file, "counted"):
        for name, of_field in counts.items():
            of_field.add(file.column(batch, name))
        for name, of_column in moments.items():
            of_column.add(file.numbers(batch, name))
    if not file.rows:
        raise InputError(f"{path}: expected rows of both labels, 0 and 1; got no row")
    vocabularies = {name: c.vocabulary(schema.min_count) for name, c in counts.items()}
    scales = {name: moments.get(name, Moments()).scale(schema.scale) for name in schema.numeric}
    return vocabularies, scales


def _encode(
    file: FieldFile,
    schema: Schema,
    vocabularies: dict[str, Vocabulary],
    scales: dict[str, tuple[float, float]],
    out: Path,
) -> int:
    """Write the arrays of one split; the number of its rows."""
    seen = set()
    with ExitStack() as stack:

        def array(name: str, dtype: type, *shape: int) -> _Array:
            return stack.enter_context(_array(out / f"{name}.npy", np.dtype(dtype), shape))

        columns, label = array("columns", np.int32, len(vocabularies)), array("label", np.uint8)
        numbers = array("numbers", np.float32, len(scales)) if scales else None
        for batch in _reported(file, "encoded"):
            labels = file.label(batch, schema.label)
            seen |= set(np.unique(labels).tolist())
            label.append(labels)
            encoded = np.empty((len(batch), len(vocabularies)), np.int32)
            for i, (name, of_field) in enumerate(vocabularies.items()):
                encoded[:, i] = of_field.encode(file.column(batch, name))
            columns.append(encoded)
            if numbers is not None:
                scaled = np.empty((len(batch), len(scales)), np.float32)
                for i, (name, scale) in enumerate(scales.items()):
                    scaled[:, i] = file.numbers(batch, name, *scale)
                numbers.append(scaled)
    if seen != {0, 1}:
        raise InputError(
            f"{file.path}: expected rows of both labels, 0 and 1; got {file.rows:,} rows"
            + "".join(f", all with label {label}" for label in seen)
        )
    return file.rows


def _reported(file: FieldFile, what: str) -> Iterator[pa.RecordBatch]:
    """The batches of a file; a line every ten seconds says how far it is."""
    started = last = time.perf_counter()
    n = 0
    for batch in file.batches():
        yield batch
        n, now = n + len(batch), time.perf_counter()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{file.path.name}: {file.share:.0%} {what}, {n:,} rows,"
                  f" {n / (now - started):,.0f} rows/s", flush=True)  # fmt: skip
    seconds = time.perf_counter() - started
    print(f"{file.path.name}: {n:,} rows {what}, {n / seconds:,.0f} rows/s", flush=True)


@dataclass(slots=True)
class _Array:
    """An array file (N, *shape) that grows row by row; numpy's header leaves room for N."""

    stream: BinaryIO
    dtype: np.dtype
    shape: tuple[int, ...]
    n: int = 0

    def append(self, rows: np.ndarray) -> None:
        self.stream.write(memoryview(np.ascontiguousarray(rows, self.dtype)).cast("B"))
        self.n += len(rows)

    def write_header(self) -> None:
        self.stream.seek(0)
        shape = (self.n, *self.shape)
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.stream, header)


@contextmanager
def _array(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> Iterator[_Array]:
    with path.open("wb") as stream:
        array = _Array(stream, dtype, shape)
        array.write_header()
        yield array
        array.write_header()
