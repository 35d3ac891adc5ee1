"""The sample: its schema, its statistics, and click probabilities that follow from the rows."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from features.settings import SampleSettings
from features.sources import sample, sample_world
from tests.features.sources.test_sample_world import probability

SMALL = SampleSettings(users=5000, valid_users=500, test_users=3000, items=600, tags=60)
TINY = SampleSettings(users=30, valid_users=5, test_users=20, items=200, tags=12)
FILES = (
    "hidden_labels.parquet",
    "challenge/train.parquet",
    "challenge/valid.parquet",
    "challenge/test.parquet",
    "challenge/item_info.parquet",
    "challenge/item_feature.parquet",
)
IDS, LEVELS = pa.list_(pa.int32()), {"likes_level": pa.int64(), "views_level": pa.int64()}
SHOWN = {"user_id": pa.int64(), "item_seq": IDS, "item_id": pa.int64(), **LEVELS}
TAGS, VECTOR = pa.list_(pa.int64()), pa.list_(pa.float32())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample")
    sample.write(SMALL, path)
    return path


@pytest.fixture(scope="module")
def rows(folder):
    """Train, valid and test with what the test hides."""
    tables = {n: pl.read_parquet(folder / f"challenge/{n}.parquet") for n in ("train", "valid")}
    hidden = pl.read_parquet(folder / "hidden_labels.parquet")
    test = pl.read_parquet(folder / "challenge/test.parquet")
    return tables | {"test": test.join(hidden, on="ID", validate="1:1", maintain_order="left")}


@pytest.fixture(scope="module")
def world():
    return sample_world.make_world(SMALL.items, SMALL.tags, SMALL.seed)


def history(table: pl.DataFrame) -> np.ndarray:
    return table["item_seq"].list.to_array(sample_world.WIDTH).to_numpy()


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("challenge/train", SHOWN | {"label": pa.int64()}),
        ("challenge/valid", SHOWN | {"label": pa.int64()}),
        ("challenge/test", {"ID": pa.int64(), **SHOWN}),
        (
            "challenge/item_info",
            {"item_id": pa.int64(), "item_tags": TAGS, "item_emb_d128": VECTOR},
        ),
        (
            "challenge/item_feature",
            {"item_id": pa.int64(), "item_title": pa.string(), "item_tags": TAGS, **LEVELS}
            | {"txt_emb_BERT": VECTOR, "img_emb_CLIPRN50": VECTOR},
        ),
        (
            "hidden_labels",
            {"ID": pa.int64(), "label": pa.int64(), "click_probability": pa.float64()},
        ),
    ],
)
def test_every_file_has_exactly_the_challenges_columns_and_types(folder, file, fields):
    schema = pq.read_schema(folder / f"{file}.parquet")
    assert schema.names == list(fields)
    for name, expected in fields.items():
        got = schema.field(name).type
        if pa.types.is_list(expected):  # the name of the child depends on the writer
            assert pa.types.is_list(got), name
            got, expected = got.value_type, expected.value_type
        assert got == expected, name


def test_write_counts_the_rows_of_every_file(tmp_path):
    expected = {"train": 120, "valid": 20, "test": 80, "item_info": 201, "item_feature": 200}
    assert sample.write(TINY, tmp_path) == expected | {"hidden_labels": 80}
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.parquet")) == (
        sorted(FILES)
    )


def test_histories_are_padded_on_the_left_to_width_100(rows):
    for table in rows.values():
        assert (table["item_seq"].list.len() == 100).all()
        real = history(table) > 0
        assert (real == np.sort(real, axis=1)).all()
        assert history(table).max() <= SMALL.items


def test_lengths_follow_the_challenges(rows):
    users = rows["train"].unique("user_id")
    length = (history(users) > 0).sum(axis=1)
    assert np.quantile(length, [0, 0.25, 0.5, 0.75]).tolist() == [3, 4, 6, 9]
    assert length.mean() == pytest.approx(8.0, abs=0.4)
    assert 60 < length.max() <= 100


def test_a_user_has_four_rows_one_history_and_four_new_items(rows):
    for table in rows.values():
        users = table.group_by("user_id").agg(
            rows=pl.len(),
            items=pl.col("item_id").n_unique(),
            histories=pl.col("item_seq").n_unique(),
        )
        assert (users["rows"] == 4).all()
        assert (users["items"] == 4).all()
        assert (users["histories"] == 1).all()
        assert not (history(table) == table["item_id"].to_numpy()[:, None]).any()


def test_splits_share_no_user_and_user_ids_tell_no_split(rows):
    users = {name: set(table["user_id"]) for name, table in rows.items()}
    everyone = set.union(*users.values())
    assert sum(map(len, users.values())) == len(everyone)
    assert everyone == set(range(1, 8501))
    middle = {name: np.mean(list(ids)) for name, ids in users.items()}
    assert middle["train"] == pytest.approx(middle["test"], rel=0.05)


def test_rows_are_shuffled(rows):
    user = rows["train"]["user_id"].to_numpy()
    assert (user[1:] == user[:-1]).mean() < 0.01


def test_a_quarter_of_the_rows_are_clicks(rows):
    labels = np.concatenate([table["label"].to_numpy() for table in rows.values()])
    assert labels.mean() == pytest.approx(0.25, abs=0.01)
    assert set(labels) == {0, 1}


def test_labels_are_draws_from_the_click_probability(rows):
    test = rows["test"].sort("click_probability")
    for part in test.iter_slices(1000):
        p, label = part["click_probability"], part["label"]
        assert abs(p.mean() - label.mean()) < 4 * np.sqrt((p * (1 - p)).mean() / len(p))


def test_the_optimal_auc_is_high_and_no_single_column_comes_near(rows):
    test, train = rows["test"], rows["train"]
    label = test["label"].to_numpy()
    assert 0.88 < roc_auc_score(label, test["click_probability"]) < 0.93
    clicks = train.group_by("item_id").agg(rate=(pl.col("label").sum() + 5) / (pl.len() + 20))
    rate = test.join(clicks, on="item_id", how="left", validate="m:1", maintain_order="left")
    alone = {
        "likes": test["likes_level"],
        "views": test["views_level"],
        "item": rate["rate"].fill_null(0.25),
        "user": test["user_id"],
        "length": (history(test) > 0).sum(axis=1),
    }
    auc = {name: roc_auc_score(label, column) for name, column in alone.items()}
    assert all(0.44 < value < 0.57 for value in auc.values()), auc


def test_click_probability_follows_from_what_the_row_shows(rows, world):
    test = rows["test"]
    padded, item = history(test), test["item_id"].to_numpy()
    expected = test["click_probability"].to_numpy()
    np.testing.assert_allclose(probability(world, padded, item), expected, rtol=1e-9)
    swapped = probability(world, np.roll(padded, 1, axis=0), item)
    assert np.mean(np.abs(swapped - expected) > 0.05) > 0.3


def test_likes_and_views_levels_follow_popularity(folder, rows):
    shows = pl.concat([t.select("item_id") for t in rows.values()]).group_by("item_id").len()
    items = pl.read_parquet(folder / "challenge/item_feature.parquet")
    both = items.join(shows, on="item_id", validate="1:1")
    for column, minimum in (("likes_level", 0.5), ("views_level", 0.7)):
        assert set(items[column]) == set(range(1, 11))
        assert both.select(pl.corr(column, "len", method="spearman")).item() > minimum


def test_row_levels_are_the_items_levels(folder, rows):
    levels = ["likes_level", "views_level"]
    items = pl.read_parquet(folder / "challenge/item_feature.parquet").select("item_id", *levels)
    for table in rows.values():
        joined = table.join(items, on="item_id", validate="m:1", maintain_order="left")
        for level in levels:
            assert (joined[level] == joined[f"{level}_right"]).all()


def test_item_info_has_the_padding_row_and_item_feature_does_not(folder):
    info = pl.read_parquet(folder / "challenge/item_info.parquet")
    features = pl.read_parquet(folder / "challenge/item_feature.parquet")
    assert info["item_id"].to_list() == list(range(SMALL.items + 1))
    assert features["item_id"].to_list() == list(range(1, SMALL.items + 1))
    tags = info["item_tags"].list.to_array(5).to_numpy()
    content = info["item_emb_d128"].list.to_array(128).to_numpy()
    assert not tags[0].any()
    assert not content[0].any()
    assert np.linalg.norm(content[1:], axis=1).min() > 1
    assert (tags[1:, -1] > 0).all()
    assert ((tags > 0) == np.sort(tags > 0, axis=1)).all()
    assert tags.max() <= SMALL.tags
    assert features["item_tags"].to_list() == info["item_tags"].to_list()[1:]
    assert (features["txt_emb_BERT"].list.len() == 768).all()
    assert (features["img_emb_CLIPRN50"].list.len() == 1024).all()


def test_test_ids_count_the_rows_across_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "USERS_PER_CHUNK", 7)
    monkeypatch.setattr(sample, "ITEMS_PER_CHUNK", 64)
    assert sample.write(TINY, tmp_path)["test"] == 80
    assert pq.ParquetFile(tmp_path / "challenge/test.parquet").num_row_groups == 3
    for name in ("challenge/test", "hidden_labels"):
        ids = pl.read_parquet(tmp_path / f"{name}.parquet")["ID"].to_list()
        assert ids == list(range(80))
    items = pl.read_parquet(tmp_path / "challenge/item_feature.parquet")["item_id"].to_list()
    assert items == list(range(1, 201))


def test_same_seed_same_bytes_and_another_seed_another_world(tmp_path):
    other = SampleSettings(users=30, valid_users=5, test_users=20, items=200, tags=12, seed=1)
    for name, settings in (("a", TINY), ("b", TINY), ("c", other)):
        sample.write(settings, tmp_path / name)
    for file in FILES:
        first, again, different = ((tmp_path / x / file).read_bytes() for x in "abc")
        assert first == again, file
        assert first != different, file
    a, c = (pl.read_parquet(tmp_path / x / "challenge/train.parquet") for x in "ac")
    assert (history(a) > 0).sum() != (history(c) > 0).sum()  # other users, not only other items
