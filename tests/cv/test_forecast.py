"""The forecast: its interval holds new users' AUC, and grows where valid chose."""

import numpy as np
import pytest

from cv.auc import auc
from cv.bootstrap import auc_interval
from cv.forecast import forecast, optimism


def users(rng: np.random.Generator, n: int, rows: int = 4) -> tuple[np.ndarray, ...]:
    """Labels, scores and user ids whose scores have an error per user."""
    user = np.repeat(np.arange(n), rows)
    truth = rng.normal(size=len(user))
    label = (rng.random(len(user)) < 1 / (1 + np.exp(-2 * truth))).astype(int)
    return label, truth + rng.normal(size=n)[user], user


def test_new_users_score_in_the_interval_as_often_as_it_says():
    rng, inside = np.random.default_rng(0), []
    for _ in range(150):
        found = forecast(*users(rng, 120), n_test_users=240, n=100)
        label, score, _ = users(rng, 240)
        inside.append(found.low <= auc(label, score) <= found.high)
    assert 0.9 <= np.mean(inside) <= 0.99


def test_a_large_test_leaves_valids_own_noise_and_a_small_one_adds_its_own():
    label, score, user = users(np.random.default_rng(0), 300)
    own = auc_interval(label, score, user)
    large, equal = (forecast(label, score, user, n) for n in (10**9, 300))
    assert large.auc == equal.auc == own.estimate
    assert large.high - large.low == pytest.approx(own.high - own.low, rel=0.1)
    assert equal.high - equal.low == pytest.approx((large.high - large.low) * 2**0.5)
    assert large.low + large.high == pytest.approx(2 * large.auc)


def test_users_count_and_not_rows():
    label, score, user = users(np.random.default_rng(0), 300)
    found = forecast(label, score, user, 300)
    twice = forecast(*(np.tile(column, 2) for column in (label, score, user)), 300)
    assert twice == pytest.approx(found)


def test_what_valid_chose_lowers_the_low_end_alone():
    label, score, user = users(np.random.default_rng(0), 300)
    found = forecast(label, score, user, 300)
    chosen = forecast(label, score, user, 300, choices=[[0.8, 0.798], [0.8]])
    assert (chosen.auc, chosen.high) == (found.auc, found.high)
    assert found.low - chosen.low == pytest.approx(0.001)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_the_optimism_of_equal_candidates_is_that_of_their_largest_draw(k):
    draws = np.random.default_rng(0).normal(0.8, 0.01, (4000, k))
    assert optimism([0.8] + [0.0] * (k - 1), 0.01) == pytest.approx(
        draws.max(axis=1).mean() - 0.8, abs=5e-4
    )
    allowed = np.mean([optimism(row.tolist(), 1.0) for row in draws])
    assert allowed == pytest.approx(draws.max(axis=1).mean() - 0.8, abs=5e-4)


def test_an_interval_stays_an_auc():
    label, user = np.array([0, 1] * 4), np.arange(8)
    found = forecast(label, label.astype(float), user, 2, choices=[[1.0, 0.0]] * 9)
    assert found == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="both classes"):
        forecast(np.zeros(8), label.astype(float), user, 2)
