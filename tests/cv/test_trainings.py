"""Intervals between trainings: users and seeds, pairs, what a single seed leaves out."""

import numpy as np
import pytest
from scipy.stats import t as student

from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from cv.trainings import USERS_ALONE, training_bootstrap


def world(n_users=100, n_seeds=3, seed=0, spread=0.4):
    """User, label (N,), and scores a, b (N, S) of one law: how well a seed learns varies."""
    rng = np.random.default_rng(seed)
    user, label = np.repeat(np.arange(n_users), 4), rng.integers(0, 2, 4 * n_users)
    common = rng.normal(size=(len(label), 1))
    a, b = (
        label[:, None] * (1 + spread * rng.normal(size=n_seeds))
        + common
        + 0.3 * rng.normal(size=(len(label), n_seeds))
        for _ in "ab"
    )
    return user, label, a, b


@pytest.mark.parametrize("paired", [True, False])
def test_of_three_seeds_intervals_hold_the_truth_about_95_times_in_100(paired):
    hits = users_alone = 0
    for seed in range(100):
        user, label, a, b = world(seed=seed)  # truth: no difference
        both = training_bootstrap(label, a, b, user, paired, n=60)
        fixed = training_bootstrap(
            label, a[:, None], b[:, None], user, n=60
        )  # three fits, one seed
        hits += both.low <= 0 <= both.high
        users_alone += fixed.low <= 0 <= fixed.high
    assert 90 <= hits <= 100
    assert users_alone < 60


def test_many_users_leave_the_interval_of_student():
    user, label, a, b = world(n_users=20_000, n_seeds=6, seed=1)
    found = training_bootstrap(label, a, b, user, n=40)
    differences = np.array([auc(label, a[:, s]) - auc(label, b[:, s]) for s in range(6)])
    error = differences.std(ddof=1) / np.sqrt(6)
    half = student.ppf(0.975, 5) * error
    assert found.estimate == pytest.approx(differences.mean(), abs=1e-12)
    assert found.high - found.estimate == pytest.approx(half, rel=0.15)
    assert found.estimate - found.low == pytest.approx(half, rel=0.15)


def test_pairs_cancel_what_a_seed_does_to_both():
    user, label, a, _ = world(n_users=2_000, n_seeds=6)
    b = a + 0.1 * np.random.default_rng(9).normal(size=a.shape)
    paired = training_bootstrap(label, a, b, user, n=40)
    apart = training_bootstrap(label, a, b, user, paired=False, n=40)
    assert paired.estimate == apart.estimate
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)


def test_it_says_what_the_interval_covers():
    user, label, a, b = world()
    assert training_bootstrap(label, a, b, user, n=9).covers == "users and 3 paired seeds"
    apart = training_bootstrap(label, a, b[:, :2], user, paired=False, n=9)
    assert apart.covers == "users and 3 and 2 seeds"
    one = training_bootstrap(label, a, b[:, 0], user, paired=False, n=9)
    assert one.covers == USERS_ALONE


def test_one_seed_has_the_interval_of_its_users():
    user, label, a, b = world()
    one = training_bootstrap(label, a[:, 0], b[:, 0], user, n=50, seed=3)
    assert one[:3] == paired_bootstrap(label, a[:, 0], b[:, 0], user, n=50, seed=3)


def test_a_training_against_itself_is_exactly_zero():
    user, label, a, _ = world()
    assert training_bootstrap(label, a, a.copy(), user, n=9)[:3] == (0.0, 0.0, 0.0)


def test_the_fits_of_a_seed_count_as_one():
    """Copies of a fit are no new seeds: they change neither the estimate nor the interval."""
    user, label, a, b = world()
    once = training_bootstrap(label, a, b, user, n=30)
    twice = training_bootstrap(label, *(np.stack((x, x), axis=2) for x in (a, b)), user, n=30)
    assert twice[:3] == pytest.approx(once[:3], abs=1e-12)
    assert twice.covers == once.covers


def test_other_numbers_of_seeds_are_no_pairs():
    _, label, a, b = world()
    with pytest.raises(ValueError, match="3 and 2 seeds cannot be paired"):
        training_bootstrap(label, a, b[:, :2])
