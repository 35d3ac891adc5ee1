"""Small generated folders in the challenge's schema."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import prepare, schema
from features.store.store import Store, open_store

ROWS_PER_USER = 4


def lists(values: np.ndarray, element: pa.DataType) -> pa.Array:
    """A matrix (N, W) as an Arrow list column."""
    flat, offsets = values.ravel(), np.arange(0, values.size + 1, values.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, element))


def split(rng: np.random.Generator, first_user: int, rows: int, width: int, items: int) -> dict:
    """Columns of one split: users of four rows that share a history, ids 1 .. items - 1."""
    users = np.arange(-(-rows // ROWS_PER_USER))
    history = rng.integers(1, items, (len(users), width))
    length = rng.integers(0, width + 1, len(users))
    history[np.arange(width) < width - length[:, None]] = 0
    row = np.repeat(users, ROWS_PER_USER)[:rows]
    return {
        "user_id": pa.array(first_user + row),
        "item_seq": lists(history[row], pa.int32()),
        "item_id": pa.array(rng.integers(1, items, rows)),
        "likes_level": pa.array(rng.integers(0, 11, rows)),
        "views_level": pa.array(rng.integers(0, 11, rows)),
        "label": pa.array((np.arange(rows) % ROWS_PER_USER == 0).astype(np.int64)),
    }


def item_tables(rng: np.random.Generator, items: int) -> tuple[dict, dict]:
    """item_info with the padding row 0; item_feature without it, shuffled, lacking one item."""
    tags = np.sort(rng.integers(0, 20, (items, 5)), axis=1)
    content = rng.normal(size=(items, 128)).astype(np.float32)
    tags[0], content[0] = 0, 0
    info = {
        "item_id": pa.array(np.arange(items)),
        "item_tags": lists(tags, pa.int64()),
        "item_emb_d128": lists(content, pa.float32()),
    }
    ids = rng.permutation(np.arange(1, items - 1))
    feature = {
        "item_id": pa.array(ids),
        "item_title": pa.array([f"item {i}" for i in ids]),
        "likes_level": pa.array(rng.integers(0, 11, len(ids))),
        "views_level": pa.array(rng.integers(0, 11, len(ids))),
    }
    return info, feature


def tiny_challenge(
    folder: Path, rows: int = 240, width: int = 12, items: int = 40, seed: int = 0
) -> Path:
    """Write all five files: `rows` for train, a quarter of that for valid and for test each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for first_user, name in ((1, "train"), (rows + 1, "valid"), (2 * rows + 1, "test")):
        table = split(rng, first_user, rows if name == "train" else rows // 4, width, items)
        if name == "test":
            del table["label"]
            table = {"ID": pa.array(np.arange(rows // 4)), **table}
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    for name, table in zip(("item_info", "item_feature"), item_tables(rng, items), strict=True):
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


def tiny_store(folder: Path, **sizes: int) -> Store:
    """The store of a `tiny_challenge`, opened; both lie in `folder`."""
    files = schema.files(tiny_challenge(folder / "challenge", **sizes))
    prepare.write_store(folder / "store", files, published_sizes=False)
    return open_store(folder / "store")


def replace_column(folder: Path, file: str, column: str, array: pa.Array) -> None:
    """Write `file`.parquet again with another array in a column."""
    path = folder / f"{file}.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    pq.write_table(table.set_column(index, column, array), path)


def store_refusal(folder: Path) -> str:
    """What 10_prepare's library says of bad files in `folder`; it must leave nothing behind."""
    store = folder.parent / "store"
    with pytest.raises(InputError) as error:
        prepare.write_store(store, schema.files(folder), published_sizes=False)
    assert not store.exists()
    return str(error.value)
