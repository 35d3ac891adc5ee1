"""A tiny MicroLens release, made here: files in, rows of the challenge's schema out."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from features.settings import ReleaseSettings
from features.sources.microlens_release import convert as release
from features.sources.microlens_release import files
from features.sources.microlens_release import items as release_items
from features.sources.microlens_release import rows as release_rows
from features.store.schema import SPLITS

N_USERS, LARGEST = 120, 60
UNTITLED = 7  # an id with events but without a title; ids divisible by 11 occur nowhere
IDS = np.array([i for i in range(1, LARGEST + 1) if i % 11])
RNG = np.random.default_rng(1)
EVENTS = {user: RNG.choice(IDS, size=2 + user % 9, replace=False) for user in range(1, N_USERS + 1)}
TITLES = {
    1: "plain words, no tag",
    2: 'quoted ""words"" # Two  Yuan #TWO YUAN# fish',
    3: "many #a #b #fish #c # two yuan #d",
    **{int(i): f"video {i} about thing{i % 5} # Two Yuan" for i in IDS if i not in (1, 2, 3, 7)},
}


def tsv(events=EVENTS):
    lines = (f"{user}\t{' '.join(map(str, items))}" for user, items in events.items())
    return "\r\n".join(lines) + "\r\n"


def csv(events=EVENTS):
    rows = [(u, i, 1000 + t) for u, items in events.items() for t, i in enumerate(items)]
    rows = [rows[j] for j in np.random.default_rng(2).permutation(len(rows))]
    return "user,item,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows)


def titles():
    return "item,title\n" + "".join(f'{item},"{title}"\n' for item, title in TITLES.items())


def counts():
    return "".join(f"{item}\t{item * 10}\t{5000 - item}\n" for item in TITLES)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "Tiny_pairs.tsv").write_text(tsv())
    (folder / "Tiny_titles.csv").write_text(titles())
    (folder / "Tiny_likes_and_views.txt").write_text(counts())
    return folder


def convert(source, name="out", **settings):
    out = source.parent / name
    report = release.write(ReleaseSettings(dir=str(source), **settings), out)
    return out, report


def tables(out):
    """Parts by name; the test part takes its labels along."""
    parts = {path.stem: pl.read_parquet(path) for path in (out / "challenge").glob("*.parquet")}
    hidden = pl.read_parquet(out / "hidden_labels.parquet")
    assert parts["test"]["ID"].equals(hidden["ID"])
    parts["test"] = parts["test"].with_columns(hidden["label"])
    return parts


def file_bytes(out):
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*.parquet"))}


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


def test_csv_and_tsv_agree_and_csv_is_read_where_both_are(source):
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
    of_tied = rows.filter(pl.col("user_id").is_between(200, 299))
    assert set(map(tuple, of_tied["item_seq"])) == {(0, 0, 4)}  # neither 5 nor 6 precedes the other
    assert set(of_tied["item_id"]) == {5, 6}
    assert of_tied.select("user_id", "item_id").is_unique().all()
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


def test_what_nothing_is_known_of_is_empty(source):
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


def test_row_order_tells_nothing_and_counts_are_reported(source):
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
    assert [path.name for path in files.find(settings.dir, settings.embeddings)] == [
        "Tiny_pairs.tsv",
        "Tiny_titles.csv",
        "Tiny_likes_and_views.txt",
        "text.npy",
        "image.npy",
    ]


FAULTS = {  # file, what is replaced, by what, words of the message
    "item text": ("pairs.tsv", tsv(), "1\t2 3\n2\t4 x5 6\n", ["pairs.tsv", "'x5' (line 2)"]),
    "item zero": ("pairs.tsv", tsv(), "1\t2 3\n\n2\t0 6\n", ["'0' (line 3)", "from 1"]),
    "user text and item text": ("pairs.tsv", tsv(), "u\t2 y\n", ["'u' (line 1)", "'y' (line 1)"]),
    "no tab": ("pairs.tsv", tsv(), "1 2 3\n", ["'1 2 3' (line 1)"]),
    "second tab": ("pairs.tsv", tsv(), "1\t2\t3\n", ["'3' (line 1)", "2 columns"]),
    "user twice": ("pairs.tsv", tsv(), "1\t2 3\n1\t4 5\n", ["'1' (line 2)", "every user once"]),
    "no events": ("pairs.tsv", tsv(), "1\t\n2\t\n", ["no events"]),
    "empty file": ("titles.csv", titles(), "", ["titles.csv", "'item,title'"]),
    "header": ("titles.csv", "item,title", "id,title", ["line 1", "'item,title'"]),
    "id of a title": ("titles.csv", "\n2,", "\ntwo,", ["'two' (line 3)"]),
    "line after a broken title": ("titles.csv", "plain words", 'a\n\nb"\nz,"c', ["'z' (line 5)"]),
    "item twice": ("titles.csv", "\n2,", "\n1,", ["'1' (line 3)", "every item once"]),
    "comma without quotes": ("titles.csv", '"plain words, no tag"', "a, b", ["' b' (line 2)"]),
    "open quote": ("titles.csv", 'no tag"', "no tag", ["titles.csv", "quotes"]),
    "not UTF-8": ("titles.csv", "plain words", "\udcff", ["titles.csv", "line 2", "UTF-8"]),
    "no words": ("titles.csv", titles(), 'item,title\n1,"?"\n', ["no words", "data.embeddings"]),
    "counts": ("likes_and_views.txt", "\t20\t", "\t2k\t", ["likes is '2k' (line 2)"]),
    "counts twice": ("likes_and_views.txt", "2\t20", "1\t20", ["'1' (line 2)"]),
}


@pytest.mark.parametrize(("name", "old", "new", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_shown_with_file_and_line(source, name, old, new, words):
    path = source / f"Tiny_{name}"
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        convert(source)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_faults_of_several_files_come_in_one_message(source):
    (source / "Tiny_pairs.tsv").write_text("1\tx\n")
    (source / "Tiny_titles.csv").write_text("item,title\ny,z\n")
    with pytest.raises(InputError, match=r"(?s)pairs.tsv.*titles.csv"):
        convert(source)


def test_the_csvs_own_columns_are_checked(source):
    (source / "Tiny_pairs.csv").write_text("user,item,timestamp\n1,2,3\n1,2\n1,4,2020-01-01\n")
    with pytest.raises(InputError, match=r"nothing \(line 3\), '2020-01-01' \(line 4\)"):
        convert(source)


def test_missing_and_ambiguous_files_are_named_together(source, tmp_path):
    (source / "Tiny_pairs.tsv").unlink()
    (source / "Other_titles.csv").write_text(titles())
    settings = ReleaseSettings(dir=str(source), embeddings=(str(tmp_path / "no.npy"),))
    with pytest.raises(InputError) as error:
        files.find(settings.dir, settings.embeddings)
    words = ["*_pairs.csv or *_pairs.tsv", "Other_titles.csv, Tiny_titles.csv", "no.npy"]
    assert all(word in str(error.value) for word in words)
    for folder in ("", str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match=r"data\.dir=FOLDER"):
            files.find(folder, ())


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((LARGEST - 1, 4)), "expected floats"),
        (np.zeros(LARGEST), "expected floats"),
        (np.zeros((LARGEST, 4), int), "expected floats"),
        (np.full((LARGEST, 4), np.nan), "NaN"),
        (np.array([{}] * LARGEST), "no plain .npy"),
    ],
    ids=["rows", "flat", "integers", "NaN", "pickled"],
)
def test_unfit_arrays_are_refused(source, tmp_path, array, words):
    np.save(tmp_path / "text.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        convert(source, embeddings=(str(tmp_path / "text.npy"),))


def test_a_release_too_small_for_the_settings_is_refused(source):
    with pytest.raises(InputError, match=r"leaves .* items to draw negatives from"):
        convert(source, negatives_per_positive=len(IDS) - 3)
    (source / "Tiny_pairs.tsv").write_text("1\t2 3\n")
    with pytest.raises(InputError, match="has an event with another strictly before it"):
        convert(source)


REAL = Path(
    os.environ.get(
        "MICROLENS_50K", Path(__file__).resolve().parents[3] / "shared/data/microlens-50k"
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
