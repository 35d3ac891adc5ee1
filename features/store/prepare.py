"""The challenge's files become the store: read once, checked, every distinct history kept once.

Nothing is written before every file has passed every check. Equal rows give equal bytes.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from features.settings import PrepareSettings
from features.store import content, memory_limit, parquet, schema, validators
from features.store.codes import quantise
from features.store.content import RawVectors
from features.store.hashing import sha256
from features.store.histories import Histories
from features.store.history_lists import HistoryLists
from features.store.parquet import ProgressCallback, RowValues
from features.store.schema import ColumnSpec
from features.store.store import describe
from features.store.validators import Violations

FIELDS = {  # column of a split -> array of the store
    "user_id": "user",
    "item_id": "item",
    "likes_level": "likes",
    "views_level": "views",
    "item_seq": "history",
    "label": "label",
    "ID": "id",
}

Tables = dict[str, dict[str, RowValues]]  # file -> column -> rows, values
Arrays = dict[str, np.ndarray]  # "part/name" -> array, as in features.store.store

AS_GIVEN = PrepareSettings()


def write_store(
    folder: Path,
    files: dict[str, Path],
    published_sizes: bool,
    progress: ProgressCallback | None = None,
    settings: PrepareSettings = AS_GIVEN,
) -> dict:
    """Check `files` (see schema.files), write their store to `folder`, return its manifest.

    `progress(file name, rows done, rows of the file)` is called after every batch. Raises
    InputError with every violation of every file, or if the files lack what `settings` need;
    then nothing is written.
    """
    violations, histories = Violations(), Histories()
    with memory_limit.bounded():
        opened = parquet.open_files(files, violations)
        check_row_counts(opened, published_sizes, violations)
        width = history_width(opened, violations)
        read, unpadded = {}, []
        for name, columns in columns_of(opened, width, published_sizes).items():
            lists = {c.name: HistoryLists(c, histories) for c in columns if c.name == "item_seq"}
            readers = {column: of.read for column, of in lists.items()}
            read[name] = parquet.read_table(
                name, opened[name], columns, violations, progress, readers
            )
            for column, of in lists.items():
                of.finish(violations.column(f"{name}.parquet", column))
                unpadded += [name] * of.unpadded
        check_splits(read, violations)
        check_items(read, violations)
        raw = content.read(opened.get("item_feature"), settings.content, violations, progress)
    violations.raise_if_any()

    arrays = split_arrays(read) | item_arrays(read, raw, settings)
    arrays |= {"histories/values": histories.values, "histories/offsets": histories.offsets}
    codes = add_codes(arrays, settings)
    noted: dict[str, object] = {"unpadded": unpadded} if unpadded else {}
    n_missing = without_levels(read)
    if n_missing:
        noted["items_without_levels"] = n_missing
    manifest = {
        "sources": {path.name: sha256(path) for path in files.values()},
        "published_sizes": published_sizes,
        "ignored": ["test.parquet label"] if "label" in opened["test"].schema_arrow.names else [],
        "found": summary(arrays, width) | codes | noted,
        "arrays": {name: describe(array) for name, array in arrays.items()},
    }
    _save(folder, arrays, manifest)
    return manifest


def check_row_counts(
    opened: dict[str, pq.ParquetFile], published_sizes: bool, violations: Violations
) -> None:
    """Check the numbers of rows in the files' footers."""
    for name, file in opened.items():
        published = schema.PUBLISHED_ROWS.get(name) if published_sizes else None
        validators.check_row_count(violations, f"{name}.parquet", file.metadata.num_rows, published)


def history_width(opened: dict[str, pq.ParquetFile], violations: Violations) -> int:
    """The width of histories in all splits: that of the first split with a padded list.

    Where no list is padded, that of the first split that has any.
    """
    first = None
    for name in (name for name in schema.SPLITS if name in opened):
        width, padded = parquet.list_width(name, opened[name], "item_seq", violations)
        if padded:
            return width
        first = first or width
    return first or 1


def columns_of(
    opened: dict[str, pq.ParquetFile], width: int, published_sizes: bool
) -> dict[str, tuple[ColumnSpec, ...]]:
    """The columns to read from each file. Histories are numbered in the order of the splits."""
    info = opened.get("item_info")
    n_items = info.metadata.num_rows if info and info.metadata.num_rows else None
    names = (*schema.SPLITS, "item_info", "item_feature")
    sizes = {"n_items": n_items, "width": width, "published_sizes": published_sizes}
    return {name: schema.columns(name, **sizes) for name in names if name in opened}


def check_splits(read: Tables, violations: Violations) -> None:
    """Checks of whole columns: both labels in train and valid, unique IDs in test."""
    for name in ("train", "valid"):
        if "label" in read.get(name, {}):
            validators.check_both_labels(violations, f"{name}.parquet", read[name]["label"][1])
    if "ID" in read.get("test", {}):
        validators.check_unique(violations.column("test.parquet", "ID"), *read["test"]["ID"])


def check_items(read: Tables, violations: Violations) -> None:
    """Checks of item ids: equal to the row's number in item_info, unique in item_feature."""
    info, feature = read.get("item_info", {}), read.get("item_feature", {})
    if "item_id" in info:
        validators.check_row_is_id(
            violations.column("item_info.parquet", "item_id"), *info["item_id"]
        )
    for name in info.keys() & {"item_tags", "item_emb_d128"}:
        validators.check_row_zero(violations.column("item_info.parquet", name), *info[name])
    if "item_id" in feature:
        report = violations.column("item_feature.parquet", "item_id")
        validators.check_unique(report, *feature["item_id"])


def split_arrays(read: Tables) -> Arrays:
    """The rows of the three splits, in the order of their files."""
    return {
        f"{name}/{FIELDS[column]}": values
        for name in schema.SPLITS
        for column, (_, values) in read[name].items()
    }


def item_arrays(read: Tables, raw: RawVectors | None, settings: PrepareSettings) -> Arrays:
    """The item table. Columns of item_feature are joined by id; items that it lacks get 0."""
    info = {column: values for column, (_, values) in read["item_info"].items()}
    arrays = {"items/tags": info["item_tags"], "items/content": info["item_emb_d128"]}
    if "item_feature" in read:
        feature = {column: values for column, (_, values) in read["item_feature"].items()}
        if raw:
            n_items = len(info["item_id"])
            arrays["items/content"] = content.rebuild(settings, raw, feature["item_id"], n_items)
        for column in ("likes_level", "views_level"):
            levels = np.zeros(len(info["item_id"]), np.uint8)
            levels[feature["item_id"]] = feature[column]
            arrays[f"items/{FIELDS[column]}"] = levels
    return arrays


def without_levels(read: Tables) -> int:
    """How many items, the padding aside, item_feature lacks; 0 without that file."""
    if "item_feature" not in read:
        return 0
    return len(read["item_info"]["item_id"][1]) - 1 - len(read["item_feature"]["item_id"][1])


def add_codes(arrays: Arrays, settings: PrepareSettings) -> dict:
    """Add items/codes to `arrays` if `settings` ask for them; return their manifest entry."""
    if settings.codes == 0:
        return {}
    vectors = arrays["items/content"]
    quantised = quantise(vectors, settings.codes, settings.codebook, settings.seed)
    arrays["items/codes"] = quantised.codes
    left = [round(share, 6) for share in quantised.variance_left]
    return {"codes": {"codebook": settings.codebook, "variance_left": left}}


def summary(arrays: Arrays, width: int) -> dict:
    """Counts and lengths for a reader of the manifest, as plain numbers."""
    users = {name: np.unique(arrays[f"{name}/user"]) for name in schema.SPLITS}
    lengths = np.diff(arrays["histories/offsets"])
    width = max(width, int(lengths.max()))  # lists without padding may be longer
    return {
        "width": width,
        "splits": {name: split_summary(arrays, name, lengths, width) for name in users},
        "users_in_both": {
            f"{a} and {b}": len(np.intersect1d(users[a], users[b], assume_unique=True))
            for a, b in itertools.combinations(users, 2)
        },
        "distinct_histories": len(lengths),
        "items": len(arrays["items/tags"]),
        "tags": int(arrays["items/tags"].max()) + 1,
    }


def split_summary(arrays: Arrays, name: str, lengths: np.ndarray, width: int) -> dict:
    """Counts of one split; `lengths` (H,) are those of the distinct histories."""
    length = lengths[arrays[f"{name}/history"]]
    p50, p75 = np.percentile(length, [50, 75])
    label = arrays.get(f"{name}/label")
    return {
        "rows": len(length),
        "users": len(np.unique(arrays[f"{name}/user"])),
        "target_items": len(np.unique(arrays[f"{name}/item"])),
        "positives": None if label is None else round(float(label.mean()), 6),
        "history_length": {
            "mean": round(float(length.mean()), 4),
            "p50": float(p50),
            "p75": float(p75),
            "max": int(length.max()),
        },
        "empty_histories": int(np.count_nonzero(length == 0)),
        "padding": round(1 - float(length.mean()) / width, 6),
    }


def _save(folder: Path, arrays: Arrays, manifest: dict) -> None:
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array, allow_pickle=False)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
