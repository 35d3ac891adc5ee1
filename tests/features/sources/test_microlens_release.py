"""A tiny MicroLens release becomes rows and items in the challenge's schema."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from features.settings import ReleaseSettings
from features.sources.microlens_release import convert as release
from features.sources.microlens_release import items as release_items
from features.sources.microlens_release import paths as release_paths
from features.sources.microlens_release import rows as release_rows
from features.store.schema import SPLITS
from tests.helpers.release import (
    EVENTS,
    IDS,
    LARGEST,
    N_USERS,
    TITLES,
    UNTITLED,
    convert,
    csv,
    file_bytes,
    tables,
    titles,
    tsv,
    write_release,
)


@pytest.fixture
def source(tmp_path):
    return write_release(tmp_path / "source")


def test_the_schema_is_the_challenges(source):
    parts = tables(convert(source)[0])
    row = {"user_id": pl.Int64, "item_seq": pl.List(pl.Int32), "item_id": pl.Int64}
    row |= {"likes_level": pl.Int64, "views_level": pl.Int64, "label": pl.Int64}
    assert dict(parts["train"].schema) == dict(parts["valid"].schema) == row
    assert dict(parts["test"].schema) == {"ID": pl.Int64} | row
    assert parts["test"]["ID"].to_list() == list(range(len(parts["test"])))
    info, feature = parts["item_info"], parts["item_feature"]
    assert info["item_id"].to_list() == [0, *feature["item_id"]] == list(range(LARGEST + 1))
    assert dict(info.schema) == {
        "item_id": pl.Int64,
        "item_tags": pl.List(pl.Int64),
        "item_emb_d128": pl.List(pl.Float32),
    }
    levels = {"likes_level": pl.Int64, "views_level": pl.Int64}
    assert dict(feature.schema) == {
        "item_id": pl.Int64,
        "item_title": pl.String,
        "item_tags": pl.List(pl.Int64),
        **levels,
    }
    assert info["item_emb_d128"].list.len().unique().to_list() == [128]


def test_targets_and_histories_are_the_ends_and_beginnings_of_users(source):
    parts = tables(convert(source, history_width=4)[0])
    for split in SPLITS:
        positives = parts[split].filter(label=1)
        last = 2 if split == "train" else 1
        want = {
            (u, tuple([0, 0, 0, 0, *EVENTS[u][:t].tolist()][-4:]), int(EVENTS[u][t]))
            for u in positives["user_id"].unique()
            for t in range(1, len(EVENTS[u]))
            if t >= len(EVENTS[u]) - last
        }
        got = positives.select("user_id", "item_seq", "item_id").iter_rows()
        assert {(user, tuple(history), item) for user, history, item in got} == want
        assert len(positives) == len(want)


def test_csv_and_tsv_agree_and_the_csv_is_preferred(source):
    from_tsv = file_bytes(convert(source, "tsv")[0])
    (source / "Tiny_pairs.csv").write_text(csv())
    (source / "Tiny_pairs.tsv").write_text("not\tread\n")
    assert file_bytes(convert(source, "csv")[0]) == from_tsv


def test_history_is_strictly_earlier_than_the_target(source):
    (source / "Tiny_pairs.tsv").unlink()
    tied = "".join(f"{u},{i},{t}\n" for u in range(200, 300) for i, t in ((4, 1), (5, 2), (6, 2)))
    alone = "".join(f"{u},{i},9\n" for u in range(300, 320) for i in (4, 5))
    (source / "Tiny_pairs.csv").write_text(csv() + tied + alone + tied)  # repetitions count once
    out, report = convert(source, history_width=3)
    rows = pl.concat([tables(out)[s].drop("ID", strict=False) for s in SPLITS]).filter(label=1)
    tied_rows = rows.filter(pl.col("user_id").is_between(200, 299))
    assert set(map(tuple, tied_rows["item_seq"])) == {(0, 0, 4)}  # 5 and 6 are tied
    assert set(tied_rows["item_id"]) == {5, 6}
    assert tied_rows.select("user_id", "item_id").is_unique().all()
    assert not rows["user_id"].is_between(300, 319).any()
    assert report["left_out"] == 20
    assert report["users"] == N_USERS + 100


@pytest.mark.parametrize("negatives", ["popularity", "mixed", "uniform"])
def test_negatives_are_distinct_and_never_of_that_user(source, negatives):
    parts = tables(convert(source, negatives=negatives, negatives_per_positive=20)[0])
    trained = {i for u in parts["train"]["user_id"].unique() for i in EVENTS[u].tolist()}
    for split in SPLITS:
        rows = parts[split].with_columns(
            length=pl.col("item_seq").list.eval(pl.element() > 0).list.sum()
        )
        for (user, _), group in rows.group_by("user_id", "length"):
            drawn = group.filter(label=0)["item_id"].to_list()
            assert len(drawn) == len(set(drawn)) == 20
            assert not set(drawn) & set(EVENTS[user].tolist())
            assert set(drawn) <= set(IDS.tolist())
            assert negatives != "popularity" or set(drawn) <= trained
            assert group["item_seq"].n_unique() == 1  # negatives share the positive's history


def test_popularity_draws_follow_the_events_of_train_users_and_uniform_ones_do_not():
    n = 3000  # one item makes up half the events of train users, and every user has one of its own
    pairs = pl.DataFrame({"user": np.repeat(np.arange(n), 2), "time": np.tile([0, 1], n)})
    item = np.column_stack([np.arange(n) % 50 + 2, np.where(np.arange(n) % 10, 1, 60)]).ravel()
    outside = np.repeat(release_rows.user_split(np.arange(n), ReleaseSettings()) != 0, 2)
    item = np.where(outside & (item == 1), 61, item)  # which no user of train has
    pairs = pairs.with_columns(item=pl.Series(item))
    share = {}
    for negatives in ("popularity", "mixed", "uniform"):
        settings = ReleaseSettings(negatives=negatives, negatives_per_positive=1)
        events = release_rows.sort_events(pairs, settings)
        target = np.flatnonzero((events.item == 60) & (events.end > events.start))
        target = np.tile(target, 20)
        drawn = release_rows.draw_negatives(events, target, settings, np.random.default_rng(0))
        share[negatives] = (drawn == 1).mean()
        assert (drawn == 61).any() == (negatives != "popularity")
    ones, own = 0.45, 0.05  # of all events; a user's own items (60 and one of 50) are drawn again
    by_popularity = ones / (1 - own - 0.01)
    assert share["popularity"] == pytest.approx(by_popularity, abs=0.03)
    assert share["uniform"] == pytest.approx(1 / 51, abs=0.01)
    assert share["mixed"] == pytest.approx((by_popularity + 1 / 51) / 2, abs=0.03)


def test_levels_are_deciles_and_rows_carry_their_items_levels(source):
    levels = release_items.decile_levels(pl.Series([None, *range(1000, 0, -1)]))
    assert levels[0] == 0
    assert np.bincount(levels[1:]).tolist() == [0] + [100] * 10
    assert (np.diff(levels[1:]) <= 0).all()
    assert set(release_items.decile_levels(pl.Series([3, 3, 3, None]))[:3]) == {1}

    parts = tables(convert(source)[0])
    feature = parts["item_feature"].select("item_id", "likes_level", "views_level")
    for split in SPLITS:
        rows = parts[split].select("item_id", "likes_level", "views_level")
        assert rows.equals(
            rows.select("item_id").join(feature, on="item_id", maintain_order="left")
        )
    known = feature.filter(pl.col("item_id").is_in(list(TITLES)))
    assert (known["likes_level"] == 11 - known["views_level"]).mean() > 0.9  # ever fewer views
    assert set(known["likes_level"]) == set(range(1, 11))


def test_unknown_titles_tags_and_levels_are_empty(source):
    parts = tables(convert(source)[0])
    unknown = [UNTITLED, 11, 55]
    feature = parts["item_feature"].filter(pl.col("item_id").is_in(unknown))
    assert feature.select("item_title", "likes_level", "views_level").unique().rows() == [
        ("", 0, 0)
    ]
    info = parts["item_info"].filter(pl.col("item_id").is_in([0, *unknown]))
    assert not np.stack(info["item_tags"].to_list()).any()
    assert not np.stack(info["item_emb_d128"].to_list()).any()


def test_a_missing_count_is_level_zero(source):
    path = source / "Tiny_likes_and_views.txt"
    path.write_text(path.read_text().replace("\n2\t20\t4998\n", "\n2\t\t4998\n"))
    two = tables(convert(source)[0])["item_feature"].row(1, named=True)
    assert (two["item_id"], two["likes_level"]) == (2, 0)
    assert two["views_level"] > 0


def test_tags_are_the_titles_hashtags_most_frequent_first_and_left_padded(source):
    tags = tables(convert(source)[0])["item_info"]["item_tags"].to_list()
    assert tags[1] == [0, 0, 0, 0, 0]
    assert tags[2] == [0, 0, 0, 1, 2]  # two yuan (twice, once counted), fish
    assert tags[3] == [3, 4, 2, 5, 1]  # a b fish c two yuan, and no room for d
    assert tags[4] == [0, 0, 0, 0, 1]
    top = tables(convert(source, "top", tags=2)[0])["item_info"]["item_tags"].to_list()
    assert top[3] == [0, 0, 0, 2, 1]


def test_users_keep_their_split_whatever_the_order_of_the_file(source):
    first = convert(source, "first")[0]
    parts = tables(first)
    users = [set(parts[split]["user_id"]) for split in SPLITS]
    assert sum(map(len, users)) == len(set.union(*users)) == N_USERS
    (source / "Tiny_pairs.tsv").write_text(tsv(dict(reversed(EVENTS.items()))))
    lines = titles().splitlines()
    (source / "Tiny_titles.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert file_bytes(convert(source, "again")[0]) == file_bytes(first)


def test_shares_are_kept_and_seeds_differ():
    user = np.arange(100_000)
    splits = [release_rows.user_split(user, ReleaseSettings(seed=seed)) for seed in (0, 1)]
    for split in splits:
        assert np.bincount(split) / len(user) == pytest.approx([0.8, 0.1, 0.1], abs=0.005)
    both = ((splits[0] == 2) & (splits[1] == 2)).mean()
    assert both == pytest.approx(0.01, abs=0.003)  # independent
    some = release_rows.user_split(user[500:600], ReleaseSettings())
    assert (some == splits[0][500:600]).all()


def test_same_seed_same_bytes_other_seed_other_rows(source):
    first, second, other = (convert(source, f"s{n}", seed=n // 2)[0] for n in range(3))
    assert file_bytes(first) == file_bytes(second)
    assert not tables(first)["train"].equals(tables(other)["train"])


def test_rows_are_in_random_order_and_counts_are_reported(source):
    out, report = convert(source)
    parts = tables(out)
    assert {name: report[name] for name in SPLITS} == {name: len(parts[name]) for name in SPLITS}
    assert report["items"] == len(IDS)
    label = parts["train"]["label"].to_numpy()
    assert label.mean() == 0.25
    assert 0.1 < label[0::4].mean() < 0.4
    assert (np.diff(parts["train"]["user_id"]) != 0).mean() > 0.9


def test_content_of_similar_titles_is_similar_and_has_unit_mean_squared_length(source):
    content = np.stack(tables(convert(source)[0])["item_info"]["item_emb_d128"].to_list())
    listed = content[IDS]
    assert np.square(listed).sum(1).mean() == pytest.approx(1, abs=1e-5)
    unit = content / np.maximum(np.linalg.norm(content, axis=1, keepdims=True), 1e-9)
    assert unit[5] @ unit[10] > unit[5] @ unit[9]  # both are about thing0


def test_arrays_become_content_and_columns(source, tmp_path):
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(LARGEST, 6)), rng.normal(size=(LARGEST, 4)).astype("float32")
    np.save(tmp_path / "text.npy", text)
    np.save(tmp_path / "image.npy", image)
    paths = tuple(str(tmp_path / f"{name}.npy") for name in ("text", "image"))
    parts = tables(convert(source, "two", embeddings=paths)[0])
    feature = parts["item_feature"]
    assert np.allclose(np.stack(feature["txt_emb_BERT"].to_list()), text)
    assert np.allclose(np.stack(feature["img_emb_CLIPRN50"].to_list()), image)
    content = np.stack(parts["item_info"]["item_emb_d128"].to_list())[IDS]
    joint = np.hstack([text, image])[IDS - 1]
    joint = (joint - joint.mean(0)) / joint.std(0)
    # ten components lose nothing of ten columns; the scale makes the mean squared length 1
    assert np.allclose(content @ content.T, joint @ joint.T / 10, atol=1e-4)
    assert not content[:, 10:].any()
    one = tables(convert(source, "one", embeddings=paths[:1])[0])
    assert "txt_emb_BERT" not in one["item_feature"].columns
    settings = ReleaseSettings(dir=str(source), embeddings=paths)
    assert [path.name for path in release_paths.find(settings.dir, settings.embeddings)] == [
        "Tiny_pairs.tsv",
        "Tiny_titles.csv",
        "Tiny_likes_and_views.txt",
        "text.npy",
        "image.npy",
    ]


def test_a_release_too_small_for_the_settings_is_refused(source):
    with pytest.raises(InputError, match=r"leaves .* items to draw negatives from"):
        convert(source, negatives_per_positive=len(IDS) - 3)
    (source / "Tiny_pairs.tsv").write_text("1\t2 3\n")
    with pytest.raises(InputError, match="has an event with another strictly before it"):
        convert(source)


REAL = Path(
    os.environ.get(
        "MICROLENS_50K", Path(__file__).resolve().parents[4] / "shared/data/microlens-50k"
    )
)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is absent (MICROLENS_50K names another)")
def test_the_real_release(tmp_path):
    report = release.write(ReleaseSettings(dir=str(REAL)), tmp_path)
    parts = tables(tmp_path)
    assert report["users"] == 50_000
    assert report["left_out"] == 0
    assert report["items"] == 19_220
    assert report["train"] == 8 * parts["train"]["user_id"].n_unique()
    for split in SPLITS:
        rows = parts[split]
        assert rows["label"].mean() == 0.25
        history = rows["item_seq"].list.to_array(100).to_numpy()
        assert not (history == rows["item_id"].to_numpy()[:, None]).any()
        assert (history[:, -1] > 0).all()
    assert parts["item_info"]["item_id"].to_list() == list(range(len(parts["item_info"])))
    assert (parts["item_info"]["item_tags"].list.max() > 0).mean() > 0.6
