"""Content rebuilt from raw vectors."""

import dataclasses

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.settings import PrepareSettings
from features.sources.microlens_release import items
from features.store import content, schema
from features.store.content import RawVectors
from features.store.prepare import write_store
from features.store.schema import MODALITIES
from features.store.store import open_store
from pipeline.config.load import load
from tests.helpers.worlds import lists, tiny_challenge

ITEMS, TEXT, IMAGE = 40, 12, 9  # of the items, 38 have vectors: neither 0 nor the last
JOINT = PrepareSettings(content="joint_pca", content_width=8)
MODALITY = PrepareSettings(content="modality_pca", content_width=8)


def change(folder, **columns):
    """Set columns of item_feature, or drop those that are None."""
    path = folder / "item_feature.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table, path)


@pytest.fixture
def vectors():
    """Text and image vectors of the 38 rows: units differ from column to column."""
    rng = np.random.default_rng(3)
    text, image = rng.normal(size=(38, TEXT)), rng.normal(size=(38, IMAGE))
    return [5 + text * np.arange(1, 1 + TEXT), image @ rng.normal(size=(IMAGE, IMAGE)) / 100]


@pytest.fixture
def folder(tmp_path, vectors):
    folder = tiny_challenge(tmp_path / "challenge", items=ITEMS)
    columns = (lists(values.astype(np.float32), pa.float32()) for values in vectors)
    change(folder, **dict(zip(MODALITIES, columns, strict=True)))
    return folder


def prepared(folder, settings, name="store"):
    """The content of a store that is written beside the folder."""
    out = folder.parent / name
    write_store(out, schema.files(folder), False, settings=settings)
    return np.array(open_store(out).items.content)


def ids_of(folder):
    return pq.read_table(folder / "item_feature.parquet")["item_id"].to_numpy()


def by_svd(columns, width):
    """The first components of standardised columns, with a mean squared length of 1."""
    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    left, singular, _ = np.linalg.svd(standard, full_matrices=False)
    components = (left * singular)[:, :width]
    return components / np.sqrt(np.mean(np.sum(components**2, axis=1)))


def assert_equal_up_to_sign(actual, expected):
    signs = np.sign((actual * expected).sum(axis=0))
    np.testing.assert_allclose(actual * signs, expected, atol=1e-3)


def refusal(folder, settings=JOINT):
    """The message of the refusal, after checking that nothing was written."""
    with pytest.raises(InputError) as caught:
        prepared(folder, settings, "refused")
    assert not list((folder.parent / "refused").rglob("*"))
    return str(caught.value)


def test_joint_pca_is_the_svd_of_both_modalities_side_by_side(folder, vectors):
    content_vectors = prepared(folder, JOINT)
    assert content_vectors.shape == (ITEMS, 8)
    assert content_vectors.dtype == np.float32
    assert_equal_up_to_sign(content_vectors[ids_of(folder)], by_svd(np.hstack(vectors), 8))


def test_modality_pca_is_the_svd_of_each_modality(folder, vectors):
    content_vectors = prepared(folder, MODALITY)[ids_of(folder)]
    text, image = vectors
    assert_equal_up_to_sign(
        content_vectors, np.hstack([by_svd(text, 4), by_svd(image, 4)]) / 2**0.5
    )


@pytest.mark.parametrize(("modality", "same"), [(0, slice(4, 8)), (1, slice(0, 4))])
def test_a_half_depends_on_its_own_modality_only(folder, vectors, modality, same):
    before = prepared(folder, MODALITY, "before")
    other = lists(np.square(vectors[modality]).astype(np.float32), pa.float32())
    change(folder, **{MODALITIES[modality]: other})
    after = prepared(folder, MODALITY, "after")
    np.testing.assert_array_equal(before[:, same], after[:, same])
    assert not np.allclose(before, after)


@pytest.mark.parametrize("settings", [JOINT, MODALITY])
def test_padding_and_items_without_vectors_are_zeros(folder, settings):
    content_vectors = prepared(folder, settings)
    assert np.flatnonzero(~content_vectors.any(axis=1)).tolist() == [0, ITEMS - 1]


@pytest.mark.parametrize("settings", [JOINT, MODALITY])
def test_equal_rows_give_equal_bytes(folder, settings, monkeypatch):
    first = prepared(folder, settings, "first")
    path = folder / "item_feature.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=5)
    monkeypatch.setattr("features.store.parquet.BATCH_ROWS", 7)
    assert prepared(folder, settings, "second").tobytes() == first.tobytes()
    pq.write_table(table[::-1], path)
    reversed_rows = prepared(folder, settings, "reversed")
    np.testing.assert_allclose(reversed_rows, first, atol=1e-4)  # signs included


def test_the_content_of_a_release_is_the_joint_pca_of_its_arrays():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(300, width)).astype(np.float32) for width in (90, 60)]
    listed, titles = np.arange(1, 300), pl.Series([""] * 300)
    converted = items.content_vectors(titles, arrays, listed, seed=0)
    raw = RawVectors(np.hstack(arrays)[listed], 90)
    rebuilt = content.rebuild(PrepareSettings(content="joint_pca"), raw, listed, 300)
    assert_equal_up_to_sign(rebuilt, converted)


def test_given_content_never_reads_the_vectors(folder):
    plain = prepared(folder, PrepareSettings(), "plain")
    change(folder, **dict.fromkeys(MODALITIES, pa.array(["no vector"] * 38)))
    assert prepared(folder, PrepareSettings(), "text").tobytes() == plain.tobytes()
    message = refusal(folder)
    for column in MODALITIES:
        assert f"item_feature.parquet: {column}: found type string; expected lists" in message


def test_content_changes_nothing_else(folder):
    prepared(folder, PrepareSettings(), "plain")
    prepared(folder, MODALITY, "rebuilt")
    plain, rebuilt = folder.parent / "plain", folder.parent / "rebuilt"
    different = {
        str(path.relative_to(plain))
        for path in plain.rglob("*.npy")
        if path.read_bytes() != (rebuilt / path.relative_to(plain)).read_bytes()
    }
    assert different == {"items/content.npy"}


def test_a_missing_file_or_column_is_named_with_what_to_do(folder):
    change(folder, txt_emb_BERT=None)
    message = refusal(folder)
    assert "item_feature.parquet: txt_emb_BERT: found columns item_id, " in message
    assert (
        "expected the vectors that prepare.content=joint_pca needs, or prepare.content=given"
        in message
    )
    assert "img_emb_CLIPRN50: found" not in message
    (folder / "item_feature.parquet").unlink()
    message = refusal(folder, MODALITY)
    for column in MODALITIES:
        assert f"item_feature.parquet: {column}: found no such file" in message
    assert "expected the vectors that prepare.content=modality_pca needs" in message
    (folder / "item_feature.parquet").write_text("item_id\n")
    assert "expected a parquet file" in refusal(folder)


@pytest.mark.parametrize(
    ("vector", "found", "expected"),
    [
        ([1.0] * (IMAGE - 1), "8 elements in row 6", "lists of 9 elements"),
        ([1.0] * (IMAGE - 1) + [np.nan], "nan in row 6", "finite float32 numbers"),
        ([1e39] * IMAGE, "1e+39 in row 6", "finite float32 numbers"),
        ([None] * IMAGE, "null in row 6", "no nulls in lists"),
        (None, "null in row 6", "no nulls"),
    ],
)
def test_one_wrong_vector_is_named_by_its_row(folder, vectors, vector, found, expected):
    values = vectors[1].tolist()
    values[6] = vector
    change(folder, img_emb_CLIPRN50=pa.array(values, pa.list_(pa.float64())))
    fault = f"item_feature.parquet: img_emb_CLIPRN50: found {found} (1 row); expected {expected}"
    assert fault in refusal(folder).splitlines()[1]


def test_empty_lists_are_refused(folder):
    change(folder, txt_emb_BERT=pa.array([[]] * 38, pa.list_(pa.float32())))
    assert "txt_emb_BERT: found lists of 0; expected lists of 1 to 10000" in refusal(folder)


def test_damaged_vectors_are_refused(folder):
    path = folder / "item_feature.parquet"
    row_group = pq.ParquetFile(path).metadata.row_group(0)
    names = [row_group.column(i).path_in_schema for i in range(row_group.num_columns)]
    index = next(i for i, name in enumerate(names) if name.startswith("txt_emb_BERT"))
    start = row_group.column(index).data_page_offset
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 60] = bytes(60)
    path.write_bytes(damaged)
    assert "expected rows that can be read" in refusal(folder)


def test_more_components_than_there_are_is_refused(folder):
    wide = dataclasses.replace(JOINT, content_width=22)
    assert "38 vectors of 21 numbers that vary have at most 21" in refusal(folder, wide)
    change(folder, img_emb_CLIPRN50=lists(np.ones((38, 60), np.float32), pa.float32()))
    halves = dataclasses.replace(MODALITY, content_width=2)
    message = refusal(folder, halves)
    assert "asks for 1 principal components, but 38 vectors of 0 numbers that vary" in message
    assert "prepare.content=given" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["prepare.content=pca"], "prepare.content = 'pca' must be one of given, joint_pca, mod"),
        (["prepare.content=modality_pca", "prepare.content_width=7"], "must be even"),
        (
            ["prepare.content=joint_pca", "prepare.content_width=0"],
            "must be a whole number in [1, 10",
        ),
        (["prepare.content_width=64"], "prepare.content_width=64: not read with prepare.content=g"),
        (
            ["prepare.contents=given"],
            "unknown key 'prepare.contents', did you mean 'prepare.content'?",
        ),
        (["prepare=given"], "prepare = 'given' must be a section"),
        (["rules=strict", "prepare.content=joint_pca"], "rules=strict refuses prepare.content=joi"),
    ],
)
def test_impossible_settings_are_refused_by_name(overrides, message):
    with pytest.raises(InputError) as caught:
        load("sample", overrides)
    assert message in str(caught.value)


def test_profiles_and_overrides_set_the_content(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "sample"\n[prepare]\ncontent = "joint_pca"\n')
    settings = load(str(tmp_path / "mine.toml"), ["prepare.content_width=64"])
    assert settings.prepare == PrepareSettings(content="joint_pca", content_width=64)
    assert load("sample", ["rules=strict"]).prepare == PrepareSettings()
