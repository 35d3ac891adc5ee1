"""The choice model within slates, against loops, and what it fits on worlds that are known."""

import numpy as np
import pytest

from cv.auc import auc
from cv.slates.choice import ChoiceModel, fit_choice_model

RNG = np.random.default_rng(0)
SLATES = 3000
SLATE = RNG.permutation(np.repeat(np.arange(SLATES), 4))
LOGIT = RNG.normal(-1.5, 2, 4 * SLATES)


def one_click(z: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """One click a slate, drawn by the softmax (Gumbel's maximum)."""
    drawn, label = z + RNG.gumbel(size=len(z)), np.zeros(len(z), int)
    for number in np.unique(slate):
        rows = np.flatnonzero(slate == number)
        label[rows[drawn[rows].argmax()]] = 1
    return label


def independent(z: np.ndarray) -> np.ndarray:
    return (RNG.random(len(z)) < 1 / (1 + np.exp(-z))).astype(int)


def test_log_odds_are_the_formula_in_slates_of_any_size():
    slate, z = np.array([4, 1, 4, 4, 9, 1]), np.array([0.3, -1.0, 2.0, 0.5, 7.0, -1.0])
    model = ChoiceModel(temperature=0.5, weight=2.0, bias=-0.25)
    expected = []
    for i in range(len(z)):
        others = sum(np.exp(z[j] / 0.5) for j in range(6) if slate[j] == slate[i] and j != i)
        expected.append(-0.25 + z[i] / 0.5 - np.log(1 + 2 * others))
    np.testing.assert_allclose(model.log_odds(z, slate), expected, rtol=1e-13)


def test_log_odds_stay_finite_and_ordered_for_scores_far_apart():
    z = np.array([3000.0, -3000.0, 2999.0, 0.0])
    odds = ChoiceModel(temperature=1.0, weight=1.0, bias=0.0).log_odds(z, np.zeros(4, int))
    assert np.isfinite(odds).all()
    assert odds.argsort().tolist() == z.argsort().tolist()


def test_of_one_click_a_slate_the_fit_is_the_softmax_that_drew_it():
    label = one_click(LOGIT / 1.5, SLATE)
    model = fit_choice_model(LOGIT, SLATE, label)
    odds = model.log_odds(LOGIT, SLATE)
    assert model.temperature == pytest.approx(1.5, rel=0.1)
    total = np.bincount(SLATE, 1 / (1 + np.exp(-odds)))
    assert total.mean() == pytest.approx(1, abs=0.02)
    assert auc(label, odds) > auc(label, LOGIT) + 0.03


def test_of_independent_labels_the_fit_ranks_rows_by_their_own_score():
    label = independent(LOGIT)
    odds = fit_choice_model(LOGIT, SLATE, label).log_odds(LOGIT, SLATE)
    assert abs(auc(label, odds) - auc(label, LOGIT)) < 5e-4
    softmax = ChoiceModel(1.0, 1e3, np.log(1e3)).log_odds(LOGIT, SLATE)
    assert auc(label, softmax) < auc(label, LOGIT) - 0.02  # the fit had something to find


def test_rows_of_other_slates_do_not_matter():
    model = ChoiceModel(temperature=1.0, weight=5.0, bias=1.0)
    odds = model.log_odds(LOGIT, SLATE)
    some = np.isin(SLATE, [3, 17, 40])
    np.testing.assert_allclose(model.log_odds(LOGIT[some], SLATE[some]), odds[some], rtol=1e-12)


@pytest.mark.parametrize("spread", [0, 1e-9, 1e-3])
def test_scores_that_hardly_differ_give_a_finite_model(spread):
    z = -1.1 + spread * LOGIT[:400]
    label = np.arange(400) % 4 == 0
    with np.errstate(all="raise", divide="ignore", under="ignore"):
        model = fit_choice_model(z, np.repeat(np.arange(100), 4), label)
        odds = model.log_odds(z, np.repeat(np.arange(100), 4))
    assert np.isfinite([*model, *odds]).all()
