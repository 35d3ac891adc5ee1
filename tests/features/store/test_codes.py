"""Semantic codes approximate a vector level by level."""

import numpy as np
import pytest

from features.errors import InputError
from features.settings import PrepareSettings
from features.store import schema
from features.store.codes import quantise
from features.store.prepare import write_store
from features.store.store import open_store
from pipeline import graph
from pipeline.config.load import load
from tests.helpers.worlds import tiny_challenge

LEVELS, CODEBOOK = 3, 7
ZERO = [0, 4, 59]  # items whose vector is all zeros


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(60, 6)) * [9, 5, 3, 2, 1, 1] + 1).astype(np.float32)
    vectors[ZERO] = 0
    return vectors


@pytest.fixture(scope="module")
def quantised(vectors):
    return quantise(vectors, LEVELS, CODEBOOK, seed=0)


def store(tmp_path, **settings):
    """A store of 40 items, opened; its codes are those of `settings`."""
    files = schema.files(tiny_challenge(tmp_path / "challenge"))
    folder = tmp_path / "store"
    write_store(folder, files, False, settings=PrepareSettings(**settings))
    return open_store(folder)


def test_every_code_is_the_centroid_nearest_to_the_residual(vectors, quantised):
    for item in np.setdiff1d(np.arange(60), ZERO):
        residual = vectors[item].astype(np.float64)
        for level in range(LEVELS):
            distances = [np.sum((residual - e) ** 2) for e in quantised.centroids[level]]
            code = quantised.codes[item, level] - 1 - level * CODEBOOK
            assert distances[code] <= min(distances) + 1e-4
            residual = residual - quantised.centroids[level][code]


def test_a_centroid_is_the_mean_of_its_residuals_and_variance_left_is_theirs(vectors, quantised):
    real = np.setdiff1d(np.arange(60), ZERO)
    residual = vectors[real].astype(np.float64)
    variance = np.mean(np.sum((residual - residual.mean(axis=0)) ** 2, axis=1))
    for level in range(LEVELS):
        code = quantised.codes[real, level] - 1 - level * CODEBOOK
        for c in range(CODEBOOK):
            mean = residual[code == c].mean(axis=0)
            np.testing.assert_allclose(quantised.centroids[level][c], mean, atol=1e-5)
        residual -= quantised.centroids[level][code]
        left = np.mean(np.sum(residual**2, axis=1)) / variance
        assert quantised.variance_left[level] == pytest.approx(left, abs=1e-6)


def test_the_error_falls_from_level_to_level(quantised):
    assert (
        1 > quantised.variance_left[0] > quantised.variance_left[1] > quantised.variance_left[2] > 0
    )


def test_levels_are_distinct_and_zero_is_for_items_without_a_vector(quantised):
    assert quantised.codes.dtype == np.int32
    assert np.flatnonzero((quantised.codes == 0).any(axis=1)).tolist() == ZERO
    assert not quantised.codes[ZERO].any()
    for level, codes in enumerate(quantised.codes.T):
        first = 1 + level * CODEBOOK
        assert set(codes) == {0, *range(first, first + CODEBOOK)}


def test_equal_vectors_and_seeds_give_equal_codes(vectors, quantised):
    again = quantise(vectors.copy(), LEVELS, CODEBOOK, seed=0)
    np.testing.assert_array_equal(again.codes, quantised.codes)
    other = quantise(vectors, LEVELS, CODEBOOK, seed=1)
    assert (other.codes != quantised.codes).any()


def test_zero_vectors_do_not_change_the_codes_of_the_others(vectors, quantised):
    real = np.setdiff1d(np.arange(60), ZERO)
    np.testing.assert_array_equal(
        quantise(vectors[real], LEVELS, CODEBOOK, seed=0).codes, quantised.codes[real]
    )


def test_items_of_a_cluster_share_the_first_code():
    rng = np.random.default_rng(0)
    cluster = np.arange(60) % 5
    vectors = 50 * rng.normal(size=(5, 6))[cluster] + rng.normal(size=(60, 6))
    first = quantise(vectors.astype(np.float32), 1, 5, seed=0).codes[:, 0]
    assert len(set(zip(first, cluster, strict=True))) == 5


def test_more_codes_than_distinct_vectors_is_refused():
    vectors = np.repeat(np.arange(5.0, dtype=np.float32), 9)[:, None]  # zero, and four others
    message = "prepare.codebook = 5, but there are 4 distinct content vectors that are not zero"
    with pytest.raises(InputError, match=message):
        quantise(vectors, 1, 5, seed=0)
    assert quantise(vectors, 1, 4, seed=0).variance_left == [pytest.approx(0, abs=1e-9)]
    with pytest.raises(InputError, match=r"1 distinct residuals after level 1.*fewer prepare.co"):
        quantise(vectors, 2, 4, seed=0)


def test_the_store_has_the_codes_of_its_content_and_the_manifest_the_variance_left(tmp_path):
    opened = store(tmp_path, codes=2, codebook=8, seed=3)
    content = np.array(opened.items.content)
    expected = quantise(content, 2, 8, seed=3)
    np.testing.assert_array_equal(opened.items.codes, expected.codes)
    assert opened.items.codes.shape == (40, 2)
    assert opened.items.codes.dtype == np.int32
    assert not opened.items.codes[0].any()
    left = [round(share, 6) for share in expected.variance_left]
    assert opened.manifest["found"]["codes"] == {"codebook": 8, "variance_left": left}


def test_a_store_has_no_codes_by_default(tmp_path):
    opened = store(tmp_path)
    assert opened.items.codes is None
    assert "codes" not in opened.manifest["found"]


def test_a_codebook_that_is_too_large_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"prepare\.codebook = 256, but there are 39"):
        store(tmp_path, codes=1)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["prepare.codes=-1"], "prepare.codes = -1 must be a whole number in [0, 100]"),
        (["prepare.codes=3", "prepare.codebook=1"], "codebook = 1 must be a whole number in [2"),
        (["prepare.codes=3", "prepare.seed=4294967296"], "must be a whole number in [0, 2^32)"),
        (["prepare.codebook=64"], "prepare.codebook=64: not read with prepare.content=given and"),
        (["prepare.seed=1"], "prepare.seed=1: not read with"),
        (["rules=strict", "prepare.codes=3"], "rules=strict refuses prepare.codes=3"),
    ],
)
def test_impossible_settings_are_refused_by_name(overrides, message):
    with pytest.raises(InputError) as caught:
        load("sample", overrides)
    assert message in str(caught.value)


def test_the_settings_in_force_name_the_store(tmp_path):
    folder = tiny_challenge(tmp_path / "challenge")

    def spec(*overrides):
        return graph.store(load("challenge", [f"data.dir={folder}", *overrides]))

    assert spec().settings == {"published_sizes": False}
    cases = [
        ["prepare.content=joint_pca"],
        ["prepare.content=modality_pca"],
        ["prepare.content=joint_pca", "prepare.content_width=64"],
        ["prepare.codes=3"],
        ["prepare.codes=2"],
        ["prepare.codes=3", "prepare.codebook=16"],
        ["prepare.codes=3", "prepare.seed=1"],
        ["prepare.codes=3", "prepare.content=joint_pca"],
    ]
    hashes = {spec().hash, *(spec(*case).hash for case in cases)}
    assert len(hashes) == 1 + len(cases)
    assert spec("prepare.content=given", "prepare.codes=0") == spec()
