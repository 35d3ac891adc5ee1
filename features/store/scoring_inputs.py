"""Rows of any file in the challenge's schema, and the item table, for a trained network.

Reading and checks are those of features.store.prepare, with three differences. A file of rows needs
only the columns that the network reads. Ids must lie in the network's tables. A file without ID
(train, valid) numbers its rows from 0. Histories may be padded to equal length, or not padded.
"""

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

REMEDY = "fix the files, or name others: --rows, --items"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVocab:
    """The sizes of a network's tables, and which inputs it reads."""

    n_items: int
    n_tags: int
    n_users: int  # 0: it reads no users
    content_width: int
    item_levels: bool  # whether it reads the levels in the item table
    max_len: int  # it reads so many of the most recent history items


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringInputs:
    """Rows in the order of their file, each with an id; their histories as in a store.

    width  of the file's longest history, padding included
    items  None if only rows were read
    """

    rows: Split
    values: np.ndarray
    offsets: np.ndarray
    width: int
    items: Items | None


def read(
    rows: Path, item_info: Path | None, vocab: ModelVocab, progress: ProgressCallback | None = None
) -> ScoringInputs:
    """Read the file `rows`, and the file `item_info` if there is one.

    Raises InputError with every violation of both.
    """
    violations, histories = Violations(), Histories()
    with memory_limit.bounded():
        table = read_rows(rows, vocab, histories, violations, progress)
        info = item_info and read_item_tables(item_info, vocab, violations, progress)
    violations.raise_if_any(REMEDY)
    n_rows = len(table["item"])
    width = table.pop("width")
    spare = {"id": np.arange(n_rows), "user": np.zeros(n_rows, np.int32)}
    return ScoringInputs(
        rows=Split(**spare | table),
        values=histories.values,
        offsets=histories.offsets,
        width=width,
        items=info and items_of(info),
    )


def read_items(
    item_info: Path, vocab: ModelVocab, progress: ProgressCallback | None = None
) -> Items:
    """Read the file `item_info`. Raises InputError with every violation."""
    violations = Violations()
    info = read_item_tables(item_info, vocab, violations, progress)
    violations.raise_if_any(REMEDY)
    return items_of(info)


def items_of(info: prepare.Tables) -> Items:
    arrays = prepare.item_arrays(info, None, prepare.AS_GIVEN)
    return Items(**{name.removeprefix("items/"): array for name, array in arrays.items()})


def read_rows(
    path: Path,
    vocab: ModelVocab,
    histories: Histories,
    violations: Violations,
    progress: ProgressCallback | None,
) -> dict[str, np.ndarray]:
    """The columns, named as in a store's split, and the `width` of the history lists."""
    file = parquet.open_files({"rows": path}, violations).get("rows")
    if file is None:
        return {}
    validators.check_row_count(violations, path.name, file.metadata.num_rows, None)
    width = longest(path.name, file, violations)
    usable = parquet.usable_columns(
        path.name, file, row_columns(file.schema_arrow, vocab, width), violations
    )
    pieces: dict[str, list[parquet.RowValues]] = {column.name: [] for column in usable}
    for start, batch in parquet.read_batches(path.name, file, list(pieces), violations):
        for column in usable:
            report = violations.column(path.name, column.name)
            if column.name == "item_seq":
                at, recent = read_recent(column, batch["item_seq"], start, vocab, report)
                values = histories.add(recent)
            else:
                at, values = parquet.read_column(column, batch[column.name], start, report)
            with np.errstate(over="ignore", invalid="ignore"):  # such values have been reported
                pieces[column.name].append((at, values.astype(column.dtype, copy=False)))
        if progress:
            progress(path.name, start + len(batch), file.metadata.num_rows)
    joined = {c.name: parquet.concatenate(pieces[c.name]) for c in usable if pieces[c.name]}
    if "ID" in joined:
        validators.check_unique(violations.column(path.name, "ID"), *joined["ID"])
    table = {prepare.FIELDS[name]: values for name, (_, values) in joined.items()}
    return table | {"width": width}


def row_columns(schema: pa.Schema, vocab: ModelVocab, width: int) -> tuple[ColumnSpec, ...]:
    """The columns to read: levels, target and history; ID if it exists, user if it is read."""
    read = {"item_seq", "item_id", "likes_level", "views_level", "ID"}
    if vocab.n_users:
        read.add("user_id")
    columns = challenge.columns(
        "test" if "ID" in schema.names else "train",
        n_items=vocab.n_items,
        width=width,
        published_sizes=False,
    )
    return tuple(
        replace(column, high=vocab.n_users - 1) if column.name == "user_id" else column
        for column in columns
        if column.name in read
    )


def longest(name: str, file: pq.ParquetFile, violations: Violations) -> int:
    """The length of the longest history list, at least 1."""
    index = file.schema_arrow.get_field_index("item_seq")
    if index < 0 or not parquet.is_kind(challenge.INTEGERS, file.schema_arrow.field(index).type):
        return 1
    if parquet.elements(file, "item_seq") > parquet.MAX_ELEMENTS:
        return 1  # usable_columns reports it
    found = 1
    for _, batch in parquet.read_batches(name, file, ["item_seq"], violations):
        found = max(found, pc.max(pc.list_value_length(batch["item_seq"])).as_py() or 1)
    return found


def read_recent(
    column: ColumnSpec, array: pa.Array, start: int, vocab: ModelVocab, report: ViolationCallback
) -> parquet.RowValues:
    """Each list's row, and its last vocab.max_len entries, int32 (K, W) padded on the left.

    A 0 is padding. It is allowed only in front, and only in lists of the full column.width.
    """
    rows, array = np.arange(start, start + len(array)), parquet.as_integers(array)
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

    validators.check_entries(report, rows, of, values, column.high)
    validators.check_entries_padding(report, rows, of, length, real)
    ragged = f"lists of {column.width} elements, or shorter ones without padding"
    short = np.flatnonzero((n_real < length) & (length < column.width))
    report(ragged, rows[short], (f"{n} elements" for n in length[short]))

    width = min(vocab.max_len, column.width)
    recent = np.zeros((len(rows), width), np.int32)
    kept = (age < width) & real & (values > 0) & (values <= column.high)
    recent[of[kept], width - 1 - age[kept]] = values[kept]
    return rows, recent


def read_item_tables(
    path: Path, vocab: ModelVocab, violations: Violations, progress: ProgressCallback | None
) -> prepare.Tables:
    """item_info, and for the items' levels item_feature from the same folder or its parent."""
    files = {"item_info": path}
    if vocab.item_levels:
        candidates = challenge.levels_beside(path)
        files["item_feature"] = next((file for file in candidates if file.is_file()), candidates[0])
    opened = parquet.open_files(files, violations)
    if "item_info" in opened:
        n_rows = opened["item_info"].metadata.num_rows
        if n_rows != vocab.n_items:
            expected = f"{vocab.n_items} rows, as the checkpoint's item table has"
            violations.add(path.name, "", expected, f"{n_rows} rows")
    found = {}
    limits = {"item_tags": {"high": vocab.n_tags - 1}}
    limits["item_emb_d128"] = {"width": vocab.content_width}
    for name, file in opened.items():
        columns = challenge.columns(
            name, n_items=vocab.n_items, width=vocab.max_len, published_sizes=False
        )
        columns = tuple(replace(c, **limits.get(c.name, {})) for c in columns)
        found[name] = parquet.read_table(name, file, columns, violations, progress)
    prepare.check_items(found, violations)
    return found
