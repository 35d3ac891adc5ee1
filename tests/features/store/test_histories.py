"""Distinct histories, numbered by their first occurrence, also when hashes collide."""

import numpy as np

from features.store import histories


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
