"""Bootstrap intervals: replicates, pairs, coverage, whole users."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cv.auc import auc
from cv.bootstrap import _Sorted, auc_interval, paired_bootstrap


def sample(n_users=500, seed=0, decimals=1):
    """Four rows per user; the scores of a user share an offset, so that its rows are similar."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 4)
    label = rng.integers(0, 2, 4 * n_users)
    base = np.repeat(rng.normal(size=n_users), 4) + label
    a = np.round(base + rng.normal(size=len(label)), decimals)
    b = np.round(base + rng.normal(size=len(label)), decimals)
    return user, label, a, b


def test_a_replicate_is_the_auc_of_the_rows_drawn():
    user, label, a, _ = sample(n_users=40, decimals=0)
    weight = np.random.default_rng(1).integers(0, 4, 40).astype(np.int32)
    rows = np.repeat(np.arange(len(user)), weight[user])
    got = _Sorted(label, a, user)(weight)
    assert got == pytest.approx(auc(label[rows], a[rows]), abs=1e-15)
    assert got == pytest.approx(roc_auc_score(label, a, sample_weight=weight[user]), abs=1e-12)


def test_a_score_against_itself_is_exactly_zero():
    user, label, a, _ = sample()
    assert paired_bootstrap(label, a, a.copy(), user, n=50) == (0.0, 0.0, 0.0)


def test_a_pair_shares_its_draws():
    user, label, a, _ = sample()
    b = a + 0.1 * np.random.default_rng(5).normal(size=len(a))  # nearly the same score
    paired, alone = paired_bootstrap(label, a, b, user), auc_interval(label, a, user)
    assert paired.estimate == auc(label, a) - auc(label, b)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_swapping_the_pair_mirrors_the_interval():
    user, label, a, b = sample()
    there = paired_bootstrap(label, a, b, user, n=99)
    back = paired_bootstrap(label, b, a, user, n=99)
    mirrored = (-back.estimate, -back.high, -back.low)
    assert there == pytest.approx(mirrored, abs=1e-15)


def test_95_percent_intervals_cover_the_truth_about_95_times_in_100():
    truth = auc(*sample(n_users=50_000, seed=999)[1:3])
    hits = 0
    for seed in range(100):
        user, label, a, _ = sample(n_users=100, seed=seed)
        interval = auc_interval(label, a, user, n=200, seed=seed)
        assert interval.low < interval.estimate < interval.high
        hits += interval.low <= truth <= interval.high
    assert 88 <= hits <= 99


def test_repeated_rows_in_a_group_do_not_narrow_the_interval():
    _, label, a, _ = sample(n_users=100)
    four = np.repeat(np.arange(len(label)), 4)
    once = auc_interval(label, a)
    grouped = auc_interval(label[four], a[four], group=four)
    narrowed = auc_interval(label[four], a[four])
    assert grouped == pytest.approx(once, abs=1e-12)  # the same draws of the same groups
    assert narrowed.high - narrowed.low < 0.6 * (once.high - once.low)


def test_same_seed_same_interval():
    user, label, a, b = sample()
    first = paired_bootstrap(label, a, b, user, n=20, seed=4)
    assert first == paired_bootstrap(label, a, b, user, n=20, seed=4)
    assert first != paired_bootstrap(label, a, b, user, n=20, seed=5)


def test_draws_of_one_class_are_drawn_again():
    label, score = np.array([1, 0, 0]), np.array([0.5, 0.2, 0.9])
    interval = auc_interval(label, score, n=200)
    assert (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [([1, 1], [0.1, 0.2], "both classes"), ([0, 1], [0.1, np.nan], "NaN")],
)
def test_refuses(label, score, message):
    with pytest.raises(ValueError, match=message):
        auc_interval(np.array(label), np.array(score))
