"""The store holds what the files hold, row by row, whatever types and row groups they use."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import schema, store
from features.store.prepare import write_store
from tests.helpers.worlds import tiny_challenge

FIELDS = {"user_id": "user", "item_id": "item", "likes_level": "likes", "views_level": "views"}


@pytest.fixture
def folder(tmp_path):
    return tiny_challenge(tmp_path / "challenge")


def prepare(folder, name="store"):
    """Write the store of a folder beside it; return the store's folder."""
    out = folder.parent / name
    write_store(out, schema.files(folder), published_sizes=False)
    return out


def rewrite(folder, change, **options):
    """Write every file again after `change(table)`."""
    for path in folder.glob("*.parquet"):
        pq.write_table(change(pq.read_table(path)), path, **options)


def array_bytes(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.npy"))}


def history_of(opened, split, row):
    number = split.history[row]
    return opened.values[opened.offsets[number] : opened.offsets[number + 1]].tolist()


@pytest.mark.parametrize("name", schema.SPLITS)
def test_every_row_is_read_back(folder, name):
    opened = store.open_store(prepare(folder))
    split = getattr(opened, name)
    table = pq.read_table(folder / f"{name}.parquet").to_pydict()
    assert len(split) == len(table["user_id"])
    for row in range(len(split)):
        assert history_of(opened, split, row) == [i for i in table["item_seq"][row] if i != 0]
        for column, field in FIELDS.items():
            assert getattr(split, field)[row] == table[column][row]
    if name == "test":
        assert split.label is None
        assert split.id.tolist() == table["ID"]
    else:
        assert split.id is None
        assert split.label.tolist() == table["label"]


def test_items_lie_at_their_ids_and_levels_are_joined_by_id(folder):
    items = store.open_store(prepare(folder)).items
    info = pq.read_table(folder / "item_info.parquet").to_pydict()
    feature = pq.read_table(folder / "item_feature.parquet").to_pydict()
    assert items.tags.tolist() == info["item_tags"]
    np.testing.assert_array_equal(items.content, np.array(info["item_emb_d128"], np.float32))
    levels = {
        item: (likes, views)
        for item, likes, views in zip(
            feature["item_id"], feature["likes_level"], feature["views_level"], strict=True
        )
    }
    assert len(levels) == len(items) - 2  # neither the padding nor the last item
    for item in range(len(items)):
        assert (items.likes[item], items.views[item]) == levels.get(item, (0, 0))


def test_item_levels_are_found_beside_the_folder_and_may_be_absent(folder):
    inside = array_bytes(prepare(folder, "inside"))
    (folder / "item_feature.parquet").rename(folder.parent / "item_feature.parquet")
    assert array_bytes(prepare(folder, "beside")) == inside
    (folder.parent / "item_feature.parquet").unlink()
    items = store.open_store(prepare(folder, "absent")).items
    assert items.likes is None
    assert items.views is None


def test_types_and_shapes_are_those_of_the_docstring(folder):
    opened = store.open_store(prepare(folder))
    for split in (opened.train, opened.valid, opened.test):
        types = [getattr(split, f).dtype for f in ("user", "item", "history", "likes", "views")]
        assert types == ["int32", "int32", "int32", "uint8", "uint8"]
    assert opened.train.label.dtype == np.uint8
    assert opened.test.id.dtype == np.int64
    assert opened.values.dtype == np.int32
    assert opened.offsets.dtype == np.int64
    assert opened.items.tags.dtype == np.int32
    assert opened.items.content.dtype == np.float32
    assert opened.items.tags.shape == (40, 5)
    assert opened.items.content.shape == (40, 128)
    assert opened.items.likes.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        opened.train.user[0] = 1


def test_equal_histories_are_stored_once_in_order_of_first_occurrence(folder):
    opened = store.open_store(prepare(folder))
    numbers, seen = [], {}
    for name in schema.SPLITS:
        for history in pq.read_table(folder / f"{name}.parquet")["item_seq"].to_pylist():
            numbers.append(seen.setdefault(tuple(i for i in history if i != 0), len(seen)))
    splits = opened.train, opened.valid, opened.test
    assert np.concatenate([split.history for split in splits]).tolist() == numbers
    assert len(opened.offsets) - 1 == len(seen)
    assert len(opened.values) == sum(len(history) for history in seen)
    first_user = opened.train.user == opened.train.user[0]
    assert len(set(opened.train.history[first_user])) == 1


@pytest.mark.parametrize("width", [1, 2])
def test_histories_may_be_short(tmp_path, width):
    opened = store.open_store(prepare(tiny_challenge(tmp_path / "challenge", width=width)))
    assert np.diff(opened.offsets).max() == width


def test_only_padding_is_an_empty_history_and_counted(folder):
    def empty(table):
        if "item_seq" not in table.column_names:
            return table
        width = len(table["item_seq"][0])
        zeros = pa.array([[0] * width] * len(table), pa.list_(pa.int32()))
        index = table.schema.get_field_index("item_seq")
        return table.set_column(index, "item_seq", zeros)

    rewrite(folder, empty)
    opened = store.open_store(prepare(folder))
    assert opened.offsets.tolist() == [0, 0]
    assert len(opened.values) == 0
    assert opened.manifest["found"]["splits"]["train"]["empty_histories"] == len(opened.train)


def as_type(make):
    """A change of table: every list column becomes `make(element type, width)`."""

    def change(table):
        for index, field in enumerate(table.schema):
            if pa.types.is_list(field.type):
                target = make(field.type.value_type, len(table[field.name][0]))
                table = table.set_column(index, field.name, table[field.name].cast(target))
        return table

    return change


def wider(element):
    return pa.int64() if pa.types.is_integer(element) else pa.float64()


VARIANTS = {
    "large_list": as_type(lambda element, width: pa.large_list(element)),
    "fixed_size_list": as_type(lambda element, width: pa.list_(element, width)),
    "wide elements": as_type(lambda element, width: pa.list_(wider(element))),
    "fixed and wide": as_type(lambda element, width: pa.list_(wider(element), width)),
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("batch_rows", [100_000, 7])
def test_list_types_and_batches_do_not_change_the_arrays(folder, change, batch_rows, monkeypatch):
    plain = array_bytes(prepare(folder))
    rewrite(folder, change)
    monkeypatch.setattr("features.store.parquet.BATCH_ROWS", batch_rows)
    assert array_bytes(prepare(folder, "other")) == plain


def as_column(name, dtype):
    def change(table):
        if name not in table.column_names:
            return table
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, table[name].cast(dtype))

    return change


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("label", pa.float64()),
        ("label", pa.bool_()),
        ("likes_level", pa.float32()),
        ("views_level", pa.uint8()),
        ("user_id", pa.uint64()),
        ("item_id", pa.int16()),
        ("ID", pa.int32()),
    ],
)
def test_number_types_do_not_change_the_arrays(folder, name, dtype):
    plain = array_bytes(prepare(folder))
    rewrite(folder, as_column(name, dtype))
    assert array_bytes(prepare(folder, "other")) == plain


@pytest.mark.parametrize("size", [1, 13, 1000])
def test_row_group_size_does_not_change_the_arrays(folder, size):
    plain = array_bytes(prepare(folder))
    rewrite(folder, lambda table: table, row_group_size=size)
    assert array_bytes(prepare(folder, "other")) == plain


def test_a_label_in_test_is_ignored_and_the_manifest_says_so(folder):
    plain = prepare(folder)
    path = folder / "test.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("label", pa.array(["?"] * len(table))), path)
    other = prepare(folder, "other")
    assert array_bytes(other) == array_bytes(plain)
    assert store.open_store(plain).manifest["ignored"] == []
    assert store.open_store(other).manifest["ignored"] == ["test.parquet label"]


def test_the_manifest_names_the_sources_and_counts_the_rows(folder):
    opened = store.open_store(prepare(folder))
    manifest, train = opened.manifest, opened.manifest["found"]["splits"]["train"]
    for path in folder.glob("*.parquet"):
        assert manifest["sources"][path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(folder) not in json.dumps(manifest)
    lengths = np.diff(opened.offsets)[opened.train.history]
    assert train["rows"] == 240
    assert train["users"] == 60
    assert train["positives"] == pytest.approx(0.25)
    assert train["padding"] == pytest.approx(1 - lengths.mean() / 12, abs=1e-6)
    assert train["history_length"]["mean"] == pytest.approx(lengths.mean(), abs=1e-4)
    assert train["history_length"]["max"] == lengths.max()
    assert manifest["arrays"]["train/user"] == {"shape": [240], "dtype": "int32"}


def test_users_in_two_splits_are_counted(folder):
    path = folder / "valid.parquet"
    table = pq.read_table(path)
    users = pa.array([1, 2, 3, *range(9_000, 9_057)])
    pq.write_table(table.set_column(0, "user_id", users), path)
    both = store.open_store(prepare(folder)).manifest["found"]["users_in_both"]
    assert both == {"train and valid": 3, "train and test": 0, "valid and test": 0}


def test_preparing_twice_gives_equal_bytes_and_reports_progress(folder):
    calls = []
    first, second = prepare(folder), folder.parent / "second"
    write_store(second, schema.files(folder), False, lambda *step: calls.append(step))
    assert array_bytes(first) == array_bytes(second)
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
    assert ("train.parquet", 240, 240) in calls


def test_a_missing_or_damaged_store_is_an_input_error(folder):
    out = prepare(folder)
    np.save(out / "train" / "user.npy", np.zeros(3, np.int32))
    with pytest.raises(InputError, match=r"user\.npy.*\[3\].*\[240\].*10_prepare"):
        store.open_store(out)
    (out / "train" / "user.npy").unlink()
    with pytest.raises(InputError, match=r"user\.npy.*10_prepare"):
        store.open_store(out)


def test_opening_a_store_needs_neither_parquet_nor_polars(folder):
    code = (
        "import sys; sys.modules.update(pyarrow=None, polars=None, pandas=None)\n"
        "from pathlib import Path; from features.store.store import open_store\n"
        f"print(len(open_store(Path({str(prepare(folder))!r})).train))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "240\n", done.stderr
