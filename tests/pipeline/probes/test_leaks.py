"""15_probe names every planted leak and nothing else, and names nothing in a clean sample."""

import functools
import itertools
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cv import leak_statistics, probe_trees
from cv.auc import auc
from features.probe_columns import level_mismatch, row_order
from features.sources import planted_histories, planted_leaks, sample_world
from pipeline.probes import histories, items, samples, users
from pipeline.probes.measurement import findings
from tests.helpers.planted_stores import names, probed, sample_store


@pytest.fixture(scope="module", autouse=True)
def each_world_is_made_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_world, "make_world", functools.cache(sample_world.make_world))
        yield


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return sample_store(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def result(clean):
    return probed(clean)


FAMILIES = {  # a step of 15_probe -> the plants that it names
    items.items: ("item_id", "level", "never_clicked", "tag_order", "content_sign", "content_rate"),
    users.user_id: ("user_id", "user_modulo"),
    users.row_count: ("user_rows",),
    users.order: ("row_order",),
    histories.histories: (
        "history_length",
        "target_in_history",
        "target_in_other_history",
        "near_duplicate",
        "row_history",
    ),
}
OF_SPLITS = ("shift", "user_overlap", "user_copy", "level_mismatch")


@pytest.mark.parametrize(
    ("step", "kind"), [(step, kind) for step, kinds in FAMILIES.items() for kind in kinds]
)
def test_a_planted_leak_is_named_by_its_family_and_nothing_else(tmp_path, step, kind):
    labels = samples.Labels.of(sample_store(tmp_path, plant=kind))
    (finding,) = findings(list(step(labels)))
    assert finding.probe == kind
    assert finding.measured.threshold < finding.measured.low <= finding.measured.figure
    assert finding.as_text().startswith(f"{kind}: ")
    assert "\n" not in finding.as_text()


@pytest.mark.parametrize("way", planted_histories.WAYS)
def test_each_way_to_change_a_history_is_named(tmp_path, monkeypatch, way):
    monkeypatch.setattr(planted_histories, "WAYS", (way,))
    labels = samples.Labels.of(sample_store(tmp_path, plant="row_history"))
    (finding,) = findings(list(histories.histories(labels)))
    assert finding.probe == "row_history"


@pytest.mark.parametrize("kind", OF_SPLITS)
def test_a_planted_difference_of_splits_is_named_and_nothing_else(tmp_path, kind):
    result = probed(sample_store(tmp_path, plant=kind))
    assert names(result) == [kind]


def test_every_plant_is_tested():
    assert {*OF_SPLITS, *itertools.chain(*FAMILIES.values())} == {*planted_leaks.KINDS}


def test_a_clean_sample_has_no_findings(result):
    assert names(result) == []
    assert {measured["name"] for measured in result["measured"]} == {*planted_leaks.KINDS, "slate"}
    assert all(m["low"] <= m["figure"] <= m["high"] for m in result["measured"])


def test_a_world_of_slates_has_no_other_finding(tmp_path):
    result = probed(sample_store(tmp_path, slates="broken"))
    assert names(result) == ["slate"]
    assert result["slates"]["train"]["rows"]["4"] > 0.9


def test_the_same_store_gives_the_same_json(clean, result):
    assert json.dumps(probed(clean)) == json.dumps(result)


def test_at_most_so_many_users_are_probed_and_the_result_says_how_many(clean, monkeypatch):
    monkeypatch.setattr(samples, "USERS", 200)
    users = probed(clean)["users"]
    assert users["train"] == {"of": 1200, "probed": 200, "rows": 800}
    assert users["valid"] == {"of": 300, "probed": 200, "rows": 800}


def test_a_valid_whose_users_are_all_in_train_is_left_out(clean):
    same = replace(clean, valid=clean.train)
    assert [part.name for part in samples.Labels.of(same).parts] == ["train"]
    assert [part.name for part in samples.Labels.of(clean).parts] == ["train", "valid"]


def test_strong_popularity_is_no_leak_and_the_same_strength_without_it_is(clean):
    """Clicks on items that are frequent in histories, and on items picked at random."""
    counts = np.bincount(clean.values, minlength=len(clean.items))
    popular = counts > np.median(counts[clean.train.item])
    picked = np.random.default_rng(0).random(len(counts)) < 0.5
    for good, expected in ((popular, []), (picked, ["item_id"])):
        changed = {}
        for name in ("train", "valid"):
            split, rng = getattr(clean, name), np.random.default_rng(1)
            follows = rng.random(len(split)) < 0.6
            label = np.where(follows, good[split.item], rng.random(len(split)) < 0.25)
            changed[name] = replace(split, label=label.astype(np.uint8))
        measurements = [
            m
            for m in items.items(samples.Labels.of(replace(clean, **changed)))
            if m.probe == "item_id"
        ]
        assert min(m.measured.figure for m in measurements) > 0.7
        assert [m.probe for m in findings(measurements)] == expected


def test_honest_activity_is_no_leak(clean):
    """Users with long histories click more, in all their rows alike."""
    length = np.diff(clean.offsets)
    changed = {}
    for name in ("train", "valid"):
        split = getattr(clean, name)
        rate = np.where(length[split.history] > 5, 0.6, 0.15)
        label = np.random.default_rng(1).random(len(split)) < rate
        changed[name] = replace(split, label=label.astype(np.uint8))
    labels = samples.Labels.of(replace(clean, **changed))
    lengths = [length[history] for history in labels.values("history")]
    assert auc(labels.parts[0].split.label, lengths[0]) > 0.7
    steps = (histories.histories, users.row_count, users.order)
    assert [m.probe for step in steps for m in findings(list(step(labels)))] == []


def test_few_clicks_of_unseen_items_are_no_leak_but_none_are(clean):
    """Rows of items in no history are clicked like those of items in one history, or never."""
    popular, rare = np.arange(160, 401), np.arange(1, 80)
    pools = (popular, rare, np.arange(80, 160))
    values = np.concatenate([rare, np.resize(popular, len(clean.values) - len(rare))])
    for of_unseen, expected in ((0.1, []), (0.0, ["never_clicked"])):
        changed, rng = {"values": values.astype(np.int32)}, np.random.default_rng(1)
        for name in ("train", "valid"):
            split = getattr(clean, name)
            kind = rng.integers(3, size=len(split))
            item = np.choose(kind, [rng.choice(pool, len(split)) for pool in pools])
            label = rng.random(len(split)) < np.choose(kind, [0.5, 0.1, of_unseen])
            changed[name] = replace(split, item=item.astype(np.int32), label=label.astype(np.uint8))
        measured = list(items.never_clicked(samples.Labels.of(replace(clean, **changed))))
        assert min(m.measured.figure for m in measured) > 0.6
        assert [m.probe for m in findings(measured)] == expected
        assert "% of clicks and" in measured[0].note


def test_scores_by_value_never_see_the_labels_of_their_fold():
    rng = np.random.default_rng(0)
    value, label, fold = rng.integers(0, 9, 300), rng.integers(0, 2, 300), rng.integers(0, 3, 300)
    flipped = np.where(fold == 1, 1 - label, label)
    one, other = (
        leak_statistics.smoothed_label_means(value, y, fold, [value])[0] for y in (label, flipped)
    )
    np.testing.assert_array_equal(one[fold == 1], other[fold == 1])
    assert (one[fold != 1] != other[fold != 1]).all()


def test_trees_never_see_the_labels_of_their_fold():
    rng = np.random.default_rng(0)
    columns = pl.DataFrame(rng.normal(size=(600, 2)))
    label, fold = rng.integers(0, 2, 600), rng.integers(0, 3, 600)
    flipped = np.where(fold == 1, 1 - label, label)
    one, other = (probe_trees.out_of_fold(columns, y, fold)[0] for y in (label, flipped))
    np.testing.assert_array_equal(one[fold == 1], other[fold == 1])
    assert (one[fold != 1] != other[fold != 1]).any()


def test_scores_by_value_match_their_equation_written_as_loops():
    value, label = np.array([7, 7, 3, 7, 3, 5]), np.array([1, 0, 1, 1, 0, 1])
    fold = np.array([0, 1, 0, 1, 1, 0])
    inside, outside = leak_statistics.smoothed_label_means(
        value, label, fold, [np.array([3, 4, 7])]
    )
    for row in range(6):
        others = fold != fold[row]
        mean, same = label[others].mean(), others & (value == value[row])
        expected = (label[same] - mean).sum() / (same.sum() + leak_statistics.PRIOR)
        assert inside[row] == pytest.approx(expected)
    mean = label.mean()
    for v, score in zip((3, 4, 7), outside, strict=True):
        same = value == v
        expected = (label[same] - mean).sum() / (same.sum() + leak_statistics.PRIOR)
        assert score == pytest.approx(expected)


def test_the_expected_auc_is_the_mean_auc_of_labels_drawn():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.6, 4000)
    score = np.round(p + rng.normal(0, 0.2, 4000), 1)  # many ties
    drawn = np.mean([auc((rng.random(4000) < p).astype(float), score) for _ in range(40)])
    assert leak_statistics.expected_auc(score, p) == pytest.approx(drawn, abs=0.004)
    certain = (p > 0.3).astype(float)
    assert leak_statistics.expected_auc(score, certain) == pytest.approx(auc(certain, score))


def test_a_figure_is_a_finding_only_when_a_wider_interval_lies_above_the_threshold():
    measured = leak_statistics.ProbeFigure(figure=0.56, low=0.535, high=0.59, threshold=0.52)
    assert measured.crossed
    assert not replace(measured, low=0.53).crossed


def test_levels_are_compared_with_the_item_table_or_with_the_items_usual_level(clean):
    given = level_mismatch.expected(clean, "likes")
    np.testing.assert_array_equal(given[1:], clean.items.likes[1:])
    without = replace(clean, items=replace(clean.items, likes=None))
    shown = np.unique(clean.train.item)
    np.testing.assert_array_equal(level_mismatch.expected(without, "likes")[shown], given[shown])


def test_row_order_describes_the_position_and_the_users_other_rows(clean):
    split = replace(clean.train, user=np.array([4, 9, 4, 4], np.int32))
    described = row_order.describe(clean, split)
    assert described["r_place"].to_list() == [0, 0.25, 0.5, 0.75]
    assert described["r_turn"].to_list() == [0, 0, 1, 2]
    assert described["r_since"].to_list() == [None, None, 2, 1]
    assert described["r_until"].to_list() == [2, None, 1, None]
