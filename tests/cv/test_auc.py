"""The exact AUC, against scikit-learn and against its definition."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cv.auc import auc


def sample(seed, kind):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 400))
    label = np.r_[0, 1, rng.integers(0, 2, n)]
    score = rng.normal(size=len(label)) + label
    if kind == "ties":
        score = np.round(score)
    if kind == "saturated":
        score = np.clip(score, 0, 1)
    if kind == "all equal":
        score = np.full(len(label), 0.3)
    return label, score


@pytest.mark.parametrize("kind", ["distinct", "ties", "saturated", "all equal"])
def test_equals_sklearn(kind):
    for seed in range(20):
        label, score = sample(seed, kind)
        assert auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_matches_the_definition_written_as_loops():
    label, score = sample(7, "ties")
    won, pairs = 0.0, 0
    for p in score[label == 1]:
        for n in score[label == 0]:
            won += 1.0 if p > n else 0.5 if p == n else 0.0
            pairs += 1
    assert auc(label, score) == won / pairs


def test_tensors_arrays_and_dtypes_agree():
    label, score = sample(3, "ties")
    want = auc(label, score)
    for dtype in (np.uint8, np.int64, np.float32, bool):
        assert auc(label.astype(dtype), score) == want
    for dtype in (torch.float16, torch.float32, torch.float64):  # whole numbers: exact in each
        assert (
            auc(torch.tensor(label), torch.tensor(score, dtype=dtype, requires_grad=True)) == want
        )


@pytest.mark.filterwarnings("error")
def test_reads_mmaps_and_strided_columns(tmp_path):
    label, score = sample(4, "distinct")
    np.save(tmp_path / "label.npy", label)
    mapped = np.load(tmp_path / "label.npy", mmap_mode="r")
    columns = np.stack([score, score], axis=1)
    assert auc(mapped, columns[:, 1]) == auc(label, score)


def test_counts_do_not_overflow_or_round():
    n = 100_000  # 2 P N = 2e10 does not fit int32
    label = np.repeat([0, 1], n)
    score = np.arange(2 * n, dtype=np.float64)
    assert auc(label, score) == 1.0
    score[[n - 1, n]] = score[[n, n - 1]]  # one pair the wrong way round
    assert auc(label, score) == 1 - 1 / n**2


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([0, 1, 1], [0.1, np.nan, 0.3], "1 NaN"),
        ([1, 1], [0.1, 0.2], "2 positives and 0 negatives"),
        ([0, 0], [0.1, 0.2], "0 positives and 2 negatives"),
        ([], [], "0 positives and 0 negatives"),
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, 1], [0.1, 0.2, 0.3], r"\(2,\) and \(3,\)"),
        ([[0, 1]], [[0.1, 0.2]], r"\(N,\)"),
    ],
)
def test_refuses(label, score, message):
    with pytest.raises(ValueError, match=message):
        auc(np.array(label), np.array(score))
