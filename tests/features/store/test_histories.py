"""Distinct histories, numbered by their first occurrence, also when hashes collide."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.store import histories, prepare, schema
from features.store.store import open_store
from tests.helpers.worlds import replace_column, store_refusal, tiny_challenge


def test_many_histories_keep_their_numbers_from_batch_to_batch():
    rng = np.random.default_rng(1)
    batches = [np.sort(rng.integers(0, 9, (1500, 6)), axis=1) for _ in range(4)]
    table, seen = histories.Histories(), {}
    numbers = np.concatenate([table.add(batch) for batch in batches])
    rows = [tuple(row[row != 0].tolist()) for row in np.concatenate(batches)]
    assert numbers.tolist() == [seen.setdefault(row, len(seen)) for row in rows]
    assert table.values.tolist() == [item for row in seen for item in row]
    assert np.diff(table.offsets).tolist() == [len(row) for row in seen]


def test_unequal_histories_stay_apart_when_their_hashes_collide(monkeypatch):
    rng = np.random.default_rng(0)
    batches = [np.sort(rng.integers(0, 4, (50, 3)), axis=1) for _ in range(4)]
    mix, seeds = histories.row_hashes, []

    def weak(values, offsets, seed):
        seeds.append(seed)
        return mix(values, offsets, seed) % np.uint64(3 if seed < 3 else 2**63)

    exact = histories.Histories()
    expected = np.concatenate([exact.add(batch) for batch in batches])
    monkeypatch.setattr(histories, "row_hashes", weak)
    retried = histories.Histories()
    numbers = np.concatenate([retried.add(batch) for batch in batches])
    assert max(seeds) == 3
    for row, number in zip(np.concatenate(batches), numbers, strict=True):
        start, end = retried.offsets[number : number + 2]
        assert retried.values[start:end].tolist() == row[row != 0].tolist()
    assert len(np.unique(numbers)) == len(np.unique(expected)) == len(retried.offsets) - 1
    np.testing.assert_array_equal(numbers, expected)


def unpadded(folder, name, cut=lambda real: real):
    """Histories of one file as lists without padding; returns them."""
    padded = pq.read_table(folder / f"{name}.parquet")["item_seq"].to_pylist()
    real = [cut([item for item in history if item]) for history in padded]
    replace_column(folder, name, "item_seq", pa.array(real, pa.list_(pa.int64())))
    return real


def histories_of(store, split):
    bounds = [store.offsets[h : h + 2] for h in split.history]
    return [store.values[start:end].tolist() for start, end in bounds]


def store_of(folder):
    manifest = prepare.write_store(folder.parent / "store", schema.files(folder), False)
    return manifest["found"], open_store(folder.parent / "store")


@pytest.mark.parametrize("names", [schema.SPLITS, ("train",), ("test",)])
def test_lists_without_padding_are_read_as_they_are(tmp_path, names):
    folder = tiny_challenge(tmp_path / "data")
    expected = {name: unpadded(folder, name) for name in names}
    found, store = store_of(folder)
    assert found["unpadded"] == list(names)
    assert found["width"] == 12
    for name, lists in expected.items():
        assert histories_of(store, getattr(store, name)) == lists


def test_lists_longer_than_the_padded_ones_of_other_files_are_kept_whole(tmp_path):
    folder = tiny_challenge(tmp_path / "data")
    longer = unpadded(folder, "test", lambda real: real + [1] * 5)
    found, store = store_of(folder)
    assert found["width"] == max(map(len, longer)) > 12
    assert histories_of(store, store.test) == longer


@pytest.mark.parametrize("element", [pa.int64(), pa.null()])
def test_empty_lists_are_users_without_a_history(tmp_path, element):
    folder = tiny_challenge(tmp_path / "data")
    for name in schema.SPLITS:
        n_rows = len(unpadded(folder, name))
        replace_column(folder, name, "item_seq", pa.array([[]] * n_rows, pa.list_(element)))
    found, store = store_of(folder)
    assert len(store.values) == 0
    assert found["splits"]["test"]["empty_histories"] == 60


def test_the_message_says_that_padding_is_missing(tmp_path):
    folder = tiny_challenge(tmp_path / "data")
    first = pq.read_table(folder / "train.parquet")["item_seq"].to_pylist()
    first[3] = [5, 6]
    replace_column(folder, "train", "item_seq", pa.array(first, pa.list_(pa.int64())))
    assert (
        "train.parquet: item_seq: found 2 elements in row 3 (1 row); expected lists of 12 elements,"
        " shorter histories padded with 0 in front; or lists of any length, without any 0 in the"
    ) in store_refusal(folder)
