"""Plants: what is planted, in how many rows, and what stays as it was."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from features.settings import SampleSettings
from features.sources import planted_histories, planted_items, planted_leaks, sample, sample_world

SIZE = {"users": 400, "valid_users": 150, "test_users": 50, "items": 300, "tags": 60}
N_USERS = 600


@pytest.fixture(scope="module")
def world():
    return sample_world.make_world(SIZE["items"], SIZE["tags"], 0)


def rows(world, kind: str, stream: int = sample_world.TRAIN, users: int = 400) -> pl.DataFrame:
    """The rows of a stream with a plant, ids and histories as arrays."""
    settings = SampleSettings(**SIZE, plant=kind)
    favoured = planted_leaks.Favoured.of(world, N_USERS)
    planted = planted_leaks.plant_in_world(kind, world, 0, favoured)
    ids = np.arange(1, users + 1)
    return pl.concat(
        pl.from_arrow(table)
        for table in sample.impressions(settings, planted, favoured, stream, ids)
    )


def history(table: pl.DataFrame) -> np.ndarray:
    return table["item_seq"].list.to_array(sample_world.WIDTH).to_numpy()


def test_half_of_the_rows_without_a_click_show_items_of_no_history(world):
    table = rows(world, "never_clicked")
    never = ~np.isin(table["item_id"], history(table))
    clicked = table["label"].to_numpy() == 1
    assert not never[clicked].any()
    assert never[~clicked].mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_array_equal(table["likes_level"], world.likes[table["item_id"]])


def test_half_of_the_users_without_a_click_have_two_rows(world):
    users = rows(world, "user_rows").group_by("user_id").agg(pl.len(), pl.col("label").sum())
    clicked = users.filter(pl.col("label") > 0)
    assert set(clicked["len"]) == {4}
    assert users.filter(pl.col("label") == 0)["len"].mean() == pytest.approx(3, abs=0.25)


def test_labels_follow_the_remainder_of_the_user_id(world):
    table = rows(world, "user_modulo")
    favoured = pl.col("user_id") % planted_leaks.DIVISOR < planted_leaks.REMAINDERS
    of_favoured = table.filter(favoured)["label"].mean()
    assert of_favoured > 0.5
    assert table.filter(~favoured)["label"].mean() < 0.2


def test_a_third_of_valids_users_have_histories_of_train(world):
    train = rows(world, "user_copy")
    valid = rows(world, "user_copy", stream=sample_world.VALID, users=150)
    known = {tuple(h) for h in history(train)}
    copied = [tuple(h) in known for h in history(valid)]
    assert np.mean(copied) == pytest.approx(1 / 3)
    clean = rows(world, "none", stream=sample_world.VALID, users=150)
    kept = set(map(tuple, history(clean))) & set(map(tuple, history(valid)))
    assert len(kept) >= 100


def test_twins_have_equal_content_and_stand_in_half_of_the_clicked_histories(world):
    favoured = planted_leaks.Favoured.of(world, N_USERS)
    planted = planted_leaks.plant_in_world("near_duplicate", world, 0, favoured)
    twin = planted_leaks.twins(world)
    np.testing.assert_array_equal(planted.content, planted.content[twin])
    np.testing.assert_array_equal(twin[twin], np.arange(len(twin)))
    assert (twin[1:] == np.arange(1, len(twin))).mean() < 0.2  # in a cell with an odd number
    table = rows(world, "near_duplicate")
    last = history(table)[:, -1] == twin[table["item_id"]]
    assert last[table["label"].to_numpy() == 1].mean() == pytest.approx(0.5, abs=0.1)


def test_one_history_of_each_user_has_another_rows_click(world):
    table = rows(world, "target_in_other_history")
    item, label, user = (table[n].to_numpy() for n in ("item_id", "label", "user_id"))
    last = {(u, h) for u, h in zip(user, history(table)[:, -1], strict=True)}
    shown = np.array([(u, i) in last for u, i in zip(user, item, strict=True)])
    assert 0.4 < shown[label == 1].mean() < 0.75
    assert shown[label == 0].mean() < 0.02
    clean = rows(world, "none")
    changed = (history(clean) != history(table)).any(1)
    assert changed.mean() == pytest.approx(0.25, abs=0.01)
    assert label[changed].mean() == pytest.approx(label.mean(), abs=0.06)  # whatever its label


def test_half_of_the_clicks_have_a_changed_history_of_the_same_length(world):
    clean, table = rows(world, "none"), rows(world, "row_history")
    before, after = history(clean), history(table)
    np.testing.assert_array_equal((before > 0).sum(1), (after > 0).sum(1))
    changed, label = (before != after).any(1), table["label"].to_numpy()
    assert not changed[label == 0].any()
    assert changed[label == 1].mean() == pytest.approx(0.48, abs=0.08)


def test_the_three_ways_to_change_a_history():
    table = np.tile([0, 0, 1, 2, 3, 4], (300, 1))
    table[150:] += 4 * (table[150:] > 0)
    planted = planted_histories.changed(table, np.ones(300, int), np.random.default_rng(0))
    kinds = {tuple(row) for row in planted[:150]}
    assert kinds == {
        (0, 0, 1, 2, 3, 4),
        (0, 0, 4, 3, 2, 1),
        (0, 0, 1, 2, 4, 4),
        (0, 0, 1, 4, 3, 4),
        (0, 0, 1, 8, 3, 4),
    }


def test_the_item_table_knows_click_rates(world):
    item = np.array([1, 1, 2, 3, 3, 3])
    tables = [pa.table({"item_id": item, "label": np.array([1, 0, 1, 0, 0, 0])})]
    rate, mean = planted_items.click_rates(tables, 5)
    assert mean == pytest.approx(1 / 3)
    assert rate.tolist() == pytest.approx([mean, 0.5, 1, 0, mean])
    everyone = np.repeat(np.arange(1, 301), 2)
    label = np.repeat(np.arange(300) % 2, 2)
    tables = [pa.table({"item_id": everyone, "label": label})]
    signs = planted_items.plant("content_sign", world, tables, 0).content
    turned = (signs == -world.content).all(1)[1:]
    assert not turned[label[::2] == 1].any()
    assert turned[label[::2] == 0].mean() == pytest.approx(0.5, abs=0.1)
    rates = planted_items.plant("content_rate", world, tables, 0).content
    assert np.unique(rates[1:, 0]).tolist() == [4, 6, 8]
    np.testing.assert_array_equal(rates[:, 1:], world.content[:, 1:])
    ordered = planted_items.plant("tag_order", world, tables, 0).tags
    falls = ((np.diff(ordered) < 0) & (ordered[:, 1:] > 0)).any(1)[1:]
    assert not falls[label[::2] == 0].any()
    assert 0.3 < falls[label[::2] == 1].mean() < 0.55
    np.testing.assert_array_equal(np.sort(ordered), np.sort(world.tags))
