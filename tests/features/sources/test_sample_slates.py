"""Worlds whose users' rows are one decision: their clicks, and the best scores for them."""

import itertools

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from features.settings import SampleSettings
from features.sources import sample, sample_slates, sample_world
from tests.features.sources.test_sample_world import probability

SIZE = {"users": 60, "valid_users": 60, "test_users": 1500, "items": 600, "tags": 60}


@pytest.fixture(scope="module", params=["one_click", "broken"])
def slates(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, slates):
    path = tmp_path_factory.mktemp(slates)
    sample.write(SampleSettings(slates=slates, **SIZE), path)
    return path


@pytest.fixture(scope="module")
def test(folder):
    """The rows of test with what they hide."""
    rows = pl.read_parquet(folder / "challenge/test.parquet")
    hidden = pl.read_parquet(folder / "hidden_labels.parquet")
    return rows.join(hidden, on="ID", validate="1:1", maintain_order="left")


def by_user(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("user_id").agg(
        rows=pl.len(),
        clicks=pl.col("label").sum(),
        items=pl.col("item_id").n_unique(),
        histories=pl.col("item_seq").n_unique(),
    )


def test_a_users_rows_are_one_slate_and_its_exceptions_are_counted(folder, test, slates):
    broken = {"one_click": 0, "broken": 1}[slates]
    for n, rows in ((1500, test), (60, pl.read_parquet(folder / "challenge/valid.parquet"))):
        users = by_user(rows)
        assert (users["histories"] == 1).all()
        assert (users["items"] == users["rows"]).all()
        shapes = dict(users.group_by("rows", "clicks").len().select(
            pl.concat_list("rows", "clicks").cast(pl.List(pl.String)).list.join(" "), "len"
        ).iter_rows())  # fmt: skip
        each = broken * n // 60
        want = {"4 1": n - 3 * each, "5 1": each, "4 2": each, "4 0": each}
        assert shapes == {shape: count for shape, count in want.items() if count}


def test_clicks_are_draws_from_both_chances(test):
    for chance in ("click_probability", "click_probability_in_slate"):
        for part in test.sort(chance).iter_slices(1000):
            p, label = part[chance], part["label"]
            assert abs(p.mean() - label.mean()) < 4 * np.sqrt((p * (1 - p)).mean() / len(p))


def test_a_score_that_sees_the_slate_is_the_softmax_of_the_logits(test, slates):
    if slates == "broken":
        test = test.filter(pl.len().over("user_id") == 5)
    world = sample_world.make_world(SIZE["items"], SIZE["tags"], 0)
    padded = test["item_seq"].list.to_array(sample_world.WIDTH).to_numpy()
    p = probability(world, padded, test["item_id"].to_numpy())
    share = test.select(w=p / (1 - p), user="user_id").select(
        pl.col("w") / pl.col("w").sum().over("user")
    )
    np.testing.assert_allclose(test["click_probability_in_slate"], share["w"], rtol=1e-9)


def test_no_score_of_the_row_alone_beats_its_chance(test):
    """Such as one that is fitted to the labels of other users by whatever describes a row."""
    world = sample_world.make_world(SIZE["items"], SIZE["tags"], 0)
    padded, label = test["item_seq"].list.to_array(100).to_numpy(), test["label"].to_numpy()
    real, every = padded > 0, np.arange(1, SIZE["items"] + 1)
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
    odds = np.exp(sample_world.click_logit_of_all(world, padded[real], offsets, every))
    p = probability(world, padded, test["item_id"].to_numpy())
    columns = np.column_stack(
        [p, odds.mean(axis=1), odds.std(axis=1), np.log(odds).mean(axis=1), real.sum(axis=1)]
    )
    first = test["user_id"].to_numpy() % 2 == 0
    scores = {"chance": test["click_probability"].to_numpy(), "logit": p}
    scores["fitted"] = np.empty(len(label))
    for half in (first, ~first):
        trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, random_state=0)
        trees.fit(columns[~half], label[~half])
        scores["fitted"][half] = trees.predict_proba(columns[half])[:, 1]
    auc = {name: roc_auc_score(label, score) for name, score in scores.items()}
    assert auc["chance"] > auc["logit"] + 0.005
    assert auc["chance"] > auc["fitted"] - 0.002, auc
    in_slate = roc_auc_score(label, test["click_probability_in_slate"])
    assert in_slate > auc["chance"] + 0.05


def test_the_chance_in_a_slate_is_that_of_draws_without_replacement():
    weight = np.array([1.0, 2.0, 3.0, 6.0])
    np.testing.assert_allclose(sample_slates.in_slate("one_click", weight[None])[0], weight / 12)
    two = np.zeros(4)
    for first, second in itertools.permutations(range(4), 2):
        chance = weight[first] / 12 * weight[second] / (12 - weight[first])
        two[[first, second]] += chance
    want = (57 * weight / 12 + two + 0) / 59  # of 60 slates one has five rows
    four = np.append(weight, 0.0)[None]
    np.testing.assert_allclose(sample_slates.in_slate("broken", four)[0], [*want, 0.0])
    five = np.append(weight, 4.0)[None]
    np.testing.assert_allclose(sample_slates.in_slate("broken", five)[0], five[0] / 16)


def test_the_chance_alone_is_a_mean_over_others_drawn_as_the_rows_own_were(monkeypatch, slates):
    monkeypatch.setattr(sample_slates, "EVERY", 1)  # all slates are broken: their share matters
    monkeypatch.setattr(sample_slates, "N_OTHERS", 20_000)
    world, rng, n = sample_world.make_world(200, 12, 0), np.random.default_rng(0), 20_000
    values, offsets = sample_world.draw_histories(world, rng, 20)[0][:12], np.array([0, 12])
    padded = sample_world.padded(values, offsets)
    one = sample_slates.Histories(values, offsets, padded)
    row = sample_slates.draw(slates, world, one, rng)
    row = row._replace(weight=np.maximum(row.weight, 1e-3))
    got = sample_slates.chances(slates, world, one, row, rng)["click_probability"][0]
    for item, weight, chance in zip(row.items[0], row.weight[0], got, strict=True):
        without = np.repeat(np.append(padded[0], item)[None], n, axis=0)
        others = sample_world.draw_targets(world, rng, without)
        logits = sample_world.click_logit(world, np.tile(values, n), 12 * np.arange(n + 1), others)
        slate = np.column_stack([np.full(n, weight), np.exp(logits)])
        four, five = (sample_slates.in_slate(slates, slate[:, :k])[:, 0].mean() for k in (4, 5))
        want = four if slates == "one_click" else (2 * 4 * four + 5 * five) / 13
        assert abs(chance - want) < 0.008


def test_a_plant_is_refused_beside_slates():
    with pytest.raises(ValueError, match="plant = 'item_id' changes rows one by one and slates"):
        SampleSettings(slates="one_click", plant="item_id")


def test_chunks_and_blocks_change_no_count_and_equal_settings_give_equal_bytes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sample, "USERS_PER_CHUNK", 20)
    settings = SampleSettings(slates="broken", users=60, valid_users=5, test_users=40, items=200)
    counts = [sample.write(settings, tmp_path / name) for name in "ab"]
    assert counts[0] == counts[1]
    assert counts[0]["train"] == 3 * 20 * 4 + 3  # each chunk breaks one slate: with a fifth row
    files = [sorted((tmp_path / name).rglob("*.parquet")) for name in "ab"]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
