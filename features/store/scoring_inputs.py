"""Rows of any file in the challenge's schema, and its item table, for a network that is trained.

Read and checked as features.store.prepare does it, but of a file of rows only what the network
reads must
be there, and it stands alone: ids must lie in the tables that the network holds. A file without ID
(train, valid) numbers its rows from 0. Histories may come padded, all lists equally wide, or
unpadded, lists as long as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.store import memory_limit, parquet, prepare, validators
from features.store import schema as challenge
from features.store.histories import Histories
from features.store.parquet import ProgressCallback
from features.store.schema import ColumnSpec
from features.store.store import Items, Split
from features.store.validators import ViolationCallback, Violations

REMEDY = "mend the files, or name others: --rows, --items"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVocab:
    """What a network knows and reads: ids beyond its tables have no meaning to it."""

    n_items: int
    n_tags: int
    n_users: int  # 0: users are not read
    content_width: int
    item_levels: bool  # whether the items' own levels are read
    max_len: int  # most recent history items that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorable:
    """Rows in the order of their file, with an id each, and their histories as in a store.

    width  of the file's longest history, padding included
    items  None where only rows were read
    """

    rows: Split
    values: np.ndarray
    offsets: np.ndarray
    width: int
    items: Items | None


def read(
    rows: Path, item_info: Path | None, known: ModelVocab, progress: ProgressCallback | None = None
) -> Scorable:
    """The file `rows`, and `item_info` unless the items come from elsewhere.

    Raises InputError with every violation of either.
    """
    violations, histories = Violations(), Histories()
    with memory_limit.bounded():
        table = read_rows(rows, known, histories, violations, progress)
        info = item_info and read_item_tables(item_info, known, violations, progress)
    violations.raise_if_any(REMEDY)
    n_rows = len(table["item"])
    width = table.pop("width")
    spare = {"id": np.arange(n_rows), "user": np.zeros(n_rows, np.int32)}
    return Scorable(
        rows=Split(**spare | table),
        values=histories.values,
        offsets=histories.offsets,
        width=width,
        items=info and items_of(info),
    )


def read_items(
    item_info: Path, known: ModelVocab, progress: ProgressCallback | None = None
) -> Items:
    """`item_info` alone. Raises InputError with every violation."""
    violations = Violations()
    info = read_item_tables(item_info, known, violations, progress)
    violations.raise_if_any(REMEDY)
    return items_of(info)


def items_of(info: prepare.Tables) -> Items:
    arrays = prepare.item_arrays(info, None, prepare.AS_GIVEN)
    return Items(**{name.removeprefix("items/"): array for name, array in arrays.items()})


def read_rows(
    path: Path,
    known: ModelVocab,
    histories: Histories,
    violations: Violations,
    progress: ProgressCallback | None,
) -> dict[str, np.ndarray]:
    """Columns by the names of a store's split, and the `width` of the lists."""
    file = parquet.open_files({"rows": path}, violations).get("rows")
    if file is None:
        return {}
    validators.check_row_count(violations, path.name, file.metadata.num_rows, None)
    width = longest(path.name, file, violations)
    usable = parquet.usable_columns(
        path.name, file, row_columns(file.schema_arrow, known, width), violations
    )
    pieces: dict[str, list[parquet.RowValues]] = {column.name: [] for column in usable}
    for start, batch in parquet.read_batches(path.name, file, list(pieces), violations):
        for column in usable:
            report = violations.column(path.name, column.name)
            if column.name == "item_seq":
                at, recent = read_recent(column, batch["item_seq"], start, known, report)
                values = histories.add(recent)
            else:
                at, values = parquet.read_column(column, batch[column.name], start, report)
            with np.errstate(over="ignore", invalid="ignore"):  # reported, and then not kept
                pieces[column.name].append((at, values.astype(column.dtype, copy=False)))
        if progress:
            progress(path.name, start + len(batch), file.metadata.num_rows)
    joined = {c.name: parquet.concatenate(pieces[c.name]) for c in usable if pieces[c.name]}
    if "ID" in joined:
        validators.check_unique(violations.column(path.name, "ID"), *joined["ID"])
    table = {prepare.FIELDS[name]: values for name, (_, values) in joined.items()}
    return table | {"width": width}


def row_columns(schema: pa.Schema, known: ModelVocab, width: int) -> tuple[ColumnSpec, ...]:
    """What is read of a file of rows: levels, target and history; ID and user if need be."""
    read = {"item_seq", "item_id", "likes_level", "views_level", "ID"}
    if known.n_users:
        read.add("user_id")
    columns = challenge.columns(
        "test" if "ID" in schema.names else "train",
        n_items=known.n_items,
        width=width,
        published_sizes=False,
    )
    return tuple(
        replace(column, high=known.n_users - 1) if column.name == "user_id" else column
        for column in columns
        if column.name in read
    )


def longest(name: str, file: pq.ParquetFile, violations: Violations) -> int:
    """The length of the longest history list, at least 1."""
    index = file.schema_arrow.get_field_index("item_seq")
    if index < 0 or not parquet.is_kind(challenge.INTEGERS, file.schema_arrow.field(index).type):
        return 1
    if parquet.elements(file, "item_seq") > parquet.MOST:
        return 1  # usable_columns says so
    found = 1
    for _, batch in parquet.read_batches(name, file, ["item_seq"], violations):
        found = max(found, pc.max(pc.list_value_length(batch["item_seq"])).as_py() or 1)
    return found


def read_recent(
    column: ColumnSpec, array: pa.Array, start: int, known: ModelVocab, report: ViolationCallback
) -> parquet.RowValues:
    """The last known.max_len entries of each list int32 (K, W), padded on the left, and its row.

    A 0 is padding. It may only stand in front, and only in lists of column.width, the longest.
    """
    rows = np.arange(start, start + len(array))
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    report("no nulls", rows[~valid], ["null"] * validators.EXAMPLES)
    rows, array = rows[valid], array.drop_null()
    length = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    flat, of = array.flatten(), np.repeat(np.arange(len(rows)), length)
    null = flat.is_null().to_numpy(zero_copy_only=False)
    report("no nulls in lists", rows[np.unique(of[null])], ["null"] * validators.EXAMPLES)
    values = pc.fill_null(flat, 1).to_numpy(zero_copy_only=False)

    age = np.repeat(np.cumsum(length), length) - 1 - np.arange(len(values))  # 0: most recent
    real = values != 0
    n_real = np.bincount(of, weights=real, minlength=len(rows))

    def entries(expected: str, bad: np.ndarray, said: Callable[[int], str]) -> None:
        entry = np.flatnonzero(bad)
        lists, first = np.unique(of[entry], return_index=True)
        report(expected, rows[lists], (said(e) for e in entry[first]))

    outside = (values < 0) | (values > column.high)
    entries(f"0..{column.high}", outside, lambda e: str(values[e]))
    behind = ~real & (age < n_real[of])
    where = "0 at position {}".format
    entries("padding zeros on the left only", behind, lambda e: where(length[of[e]] - 1 - age[e]))
    ragged = f"lists of {column.width} elements, or shorter ones without padding"
    short = ~real & (length[of] < column.width)
    entries(ragged, short, lambda e: f"{length[of[e]]} elements")

    width = min(known.max_len, column.width)
    recent = np.zeros((len(rows), width), np.int32)
    kept = (age < width) & real & ~outside
    recent[of[kept], width - 1 - age[kept]] = values[kept]
    return rows, recent


def read_item_tables(
    path: Path, known: ModelVocab, violations: Violations, progress: ProgressCallback | None
) -> prepare.Tables:
    """item_info, and item_feature from beside it where the items' levels are read."""
    files = {"item_info": path}
    if known.item_levels:
        beside = [folder / "item_feature.parquet" for folder in path.resolve().parents[:2]]
        files["item_feature"] = next((file for file in beside if file.is_file()), beside[0])
    opened = parquet.open_files(files, violations)
    if "item_info" in opened:
        n_rows = opened["item_info"].metadata.num_rows
        if n_rows != known.n_items:
            expected = f"{known.n_items} rows, as the checkpoint's item table has"
            violations.add(path.name, "", expected, f"{n_rows} rows")
    found = {}
    limits = {"item_tags": {"high": known.n_tags - 1}}
    limits["item_emb_d128"] = {"width": known.content_width}
    for name, file in opened.items():
        columns = challenge.columns(
            name, n_items=known.n_items, width=known.max_len, published_sizes=False
        )
        columns = tuple(replace(c, **limits.get(c.name, {})) for c in columns)
        found[name] = parquet.read_table(name, file, columns, {}, violations, progress)
    prepare.check_items(found, violations)
    return found
