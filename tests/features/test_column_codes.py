"""Codes of columns against loops, and what may move them."""

from dataclasses import replace

import numpy as np
import pytest

from features import coded_tables, column_codes, prefixes, table
from features.store.schema import SPLITS
from models.layers.columns import MIDDLE
from tests.helpers import feature_contract

NAN = np.nan
COLUMNS = {
    "all different": [0.5, -3.0, 7.0, 2.0, 11.0, 4.0, 2.5],
    "ties": [1, 1, 1, 2, 2, 3, 3, 3, 3, 9] * 30,
    "mostly one value": [0] * 400 + [1, 2],
    "nulls": [NAN, 1, NAN, 2, 5, NAN],
    "large integers": [2**40, 2**40 + 1, 2**40 + 2],
}


def by_hand(train: list[float], value: float) -> int:
    """1 + half of how many of the 254 borders are below `value` or not above it."""
    if np.isnan(value):
        return 0
    known = sorted(v for v in train if not np.isnan(v))
    borders = [known[i * len(known) // 255] for i in range(1, 255)]
    below, up_to = sum(b < value for b in borders), sum(b <= value for b in borders)
    return 1 + (below + up_to) // 2


def coded(train: list[float], values: list[float]) -> list[int]:
    borders = column_codes.borders_of([np.array(train, np.float64)])
    codes = column_codes.encode([np.array(values, np.float64)], borders)
    assert codes.dtype == np.uint8
    return codes[:, 0].tolist()


@pytest.mark.parametrize("train", COLUMNS.values(), ids=COLUMNS)
def test_a_code_is_the_place_of_a_value_among_the_borders_of_train(train):
    values = [*train, min(train) - 1, max(train) + 1, NAN, 1.5]
    assert coded(train, values) == [by_hand(train, v) for v in values]


def test_codes_are_bins_of_equally_many_rows_and_rise_with_the_value():
    values = np.random.default_rng(0).normal(size=255 * 40)
    codes = np.array(coded(values, values))
    assert (np.abs(np.bincount(codes)[1:] - 40) <= 2).all()
    assert (np.diff(codes[values.argsort()]) >= 0).all()
    assert codes.min() == 1
    assert codes.max() == 255


def test_a_column_that_tells_nothing_in_train_tells_nothing_elsewhere():
    """Nor does a value that train never had: no batch norm has seen it vary."""
    for train in ([NAN, NAN], [], [3.0], [3.0, 3.0, NAN]):
        assert coded(train, [NAN, 3.0, -7.0, 1e300]) == [0, MIDDLE, MIDDLE, MIDDLE]


def files(store, fold, official=False) -> dict[str, np.ndarray]:
    """What 30_features writes into codes/."""
    tables = table.build(store, fold, official=official)
    return dict(coded_tables.coded(tables, fold, official))


def test_every_row_has_the_codes_of_its_table_by_the_borders_of_its_fold(store, fold):
    tables, found = table.build(store, fold), files(store, fold)
    train, width = list(table.values(tables["train"])), len(table.names())
    for k in range(3):
        borders = column_codes.borders_of([column[fold == k] for column in train])
        np.testing.assert_array_equal(found[column_codes.BORDERS][k], borders)
        of_fold = column_codes.encode([column[fold == k] for column in train], borders)
        np.testing.assert_array_equal(found[column_codes.file_of("train", k)][fold == k], of_fold)
        valid = table.whole(tables["valid"], tables[table.of_fold("valid", k)])
        want = column_codes.encode(table.values(valid), borders)
        np.testing.assert_array_equal(found[column_codes.file_of("valid", k)], want)
    assert found[column_codes.file_of("train", 0)].shape == (60, width)
    assert len({array.tobytes() for name, array in found.items() if "/test-fold" in name}) == 3


def test_in_official_mode_valid_and_test_are_read_by_all_rows(store, fold):
    found, by_fold = files(store, fold, official=True), files(store, fold)
    tables = table.build(store, np.full(60, -1, np.int8))
    borders = column_codes.borders_of(table.values(table.build(store, fold)["train"]))
    for name in ("valid", "test"):
        want = column_codes.encode(table.values(tables[name]), borders)
        np.testing.assert_array_equal(found[column_codes.file_of(name, -1)], want)
    np.testing.assert_array_equal(found[column_codes.BORDERS], borders[None])
    train = column_codes.file_of("train", -1)
    np.testing.assert_array_equal(found[train], by_fold[train])
    assert not any("fold" in name for name in found)


@pytest.mark.parametrize("official", [False, True])
def test_no_label_of_a_row_moves_a_code_that_describes_it(store, fold, official):
    """A fold changes all its labels: its rows' codes stay, and so do the codes by which its fit
    reads valid and test; the others move."""
    before = files(store, fold, official)
    for k in range(3):
        held = fold == k
        flipped = feature_contract.with_flipped_labels(store, "train", np.flatnonzero(held))
        after = files(flipped, fold, official)
        train = column_codes.file_of("train", -1)
        np.testing.assert_array_equal(before[train][held], after[train][held])
        assert (before[train][~held] != after[train][~held]).any()
        if not official:
            for name in ("valid", "test"):
                own, *others = (column_codes.file_of(name, (k + i) % 3) for i in range(3))
                np.testing.assert_array_equal(before[own], after[own])
                assert any((before[other] != after[other]).any() for other in others)


def test_no_label_of_a_user_moves_a_code_of_prefixes_of_the_users_fold(store, fold):
    rows, _ = prefixes.build(store, 2)
    of_row = fold[rows.row]

    def codes(world):
        borders = coded_tables.train_borders(table.build(world, fold)["train"], fold)
        return coded_tables.coded_prefixes(world, borders, fold, rows)

    before = codes(store)
    for k in range(3):
        held = np.flatnonzero(fold == k)
        after = codes(feature_contract.with_flipped_labels(store, "train", held))
        np.testing.assert_array_equal(before[of_row == k], after[of_row == k])
        assert (before[of_row != k] != after[of_row != k]).any()


def test_a_prefix_is_described_as_a_row_of_a_user_of_whom_nothing_else_is_given(store, fold):
    """Its click stands in the user's histories, those of valid and test among them."""
    user = np.array(store.valid.user)
    user[:10] = store.train.user[fold == 1][:10]
    store = replace(store, valid=replace(store.valid, user=user))
    rows, _ = prefixes.build(store, 2)
    borders = coded_tables.train_borders(table.build(store, fold)["train"], fold)
    codes = coded_tables.coded_prefixes(store, borders, fold, rows)
    chosen = np.flatnonzero(fold[rows.row] == 1)[[0, 7, -1]]
    lists = [store.values[rows.begin[h] : rows.end[h]] for h in rows.split.history[chosen]]
    own = replace(rows.split.take(chosen), history=np.arange(3, dtype=np.int32))
    known = np.unique(store.train.user[fold == 1])
    kept = {n: getattr(store, n).take(~np.isin(getattr(store, n).user, known)) for n in SPLITS}
    apart, everything = replace(store, **kept), np.full(len(kept["train"]), -1, np.int8)
    (want,) = table.by_fold(
        apart, everything, own, np.concatenate(lists), np.cumsum([0, *map(len, lists)])
    )
    want = column_codes.encode(table.values(want), borders[1])
    np.testing.assert_array_equal(codes[chosen], want)
