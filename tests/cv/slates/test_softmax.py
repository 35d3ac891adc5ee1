"""The loss of the softmax over slates, against loops and finite differences."""

import numpy as np
import pytest

from cv.slates.softmax import SlateSoftmax

RNG = np.random.default_rng(0)
SLATE = RNG.integers(0, 40, 120) * 3
LABEL = (RNG.random(120) < 0.3).astype(int)
Z = RNG.normal(size=120) * 3


def by_loops(z):
    losses = []
    for number in np.unique(SLATE):
        rows = np.flatnonzero(number == SLATE)
        if len(rows) > 1 and LABEL[rows].any():
            log_p = z[rows] - np.log(np.exp(z[rows]).sum())
            losses.append(-log_p[LABEL[rows] == 1].mean())
    return losses


def test_the_loss_is_the_mean_over_slates_with_a_click_and_another_row():
    losses = by_loops(Z)
    assert 0 < len(losses) < len(np.unique(SLATE))
    assert SlateSoftmax(LABEL, SLATE).loss(Z) == pytest.approx(np.mean(losses), rel=1e-12)


def test_derivatives_are_those_of_the_sum_of_losses():
    first, second = SlateSoftmax(LABEL, SLATE).gradient(Z)
    for i in range(len(Z)):
        step = np.zeros(len(Z))
        step[i] = 1e-4
        above, at, below = (sum(by_loops(z)) for z in (Z + step, Z, Z - step))
        assert first[i] == pytest.approx((above - below) / 2e-4, abs=1e-6)
        assert second[i] == pytest.approx((above - 2 * at + below) / 1e-8, abs=1e-5)


def test_scores_far_apart_have_finite_logarithms():
    log_p = SlateSoftmax(np.array([1, 0]), np.zeros(2, int)).log_p(np.array([0.0, 5000.0]))
    assert log_p.tolist() == [-5000, 0]
    assert np.isnan(SlateSoftmax(np.zeros(2), np.zeros(2, int)).loss(np.zeros(2)))
