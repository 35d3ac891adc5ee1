"""Every blender: what it makes of logits, features and slates."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from cv.auc import auc
from cv.blenders import linear, registry
from cv.blenders.linear import BEST_SINGLE, HILL_CLIMBING, LOGISTIC, LOGIT_MEAN, RANK_MEAN
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.blenders.stacker import Trees
from cv.blenders.trees import LIGHTGBM
from cv.blenders.within_slates import WithinSlates
from cv.slates.choice import fit_choice_model
from pipeline.config import settings
from tests.helpers.stacking import inputs_of, sample, stacked

BLENDERS = list(BLENDERS_BY_NAME.values())
LINEAR = (BEST_SINGLE, RANK_MEAN, LOGIT_MEAN, HILL_CLIMBING, LOGISTIC)


def fit(blender, logits, label):
    return blender.fit(inputs_of(logits), label, np.arange(len(label)))


def predict(blender, weights, logits):
    return blender.predict(weights, inputs_of(logits))


def fit_all(inputs, label, user):
    """The weights of every blender."""
    fitted = {}
    for blender in BLENDERS:
        fitted[blender.name] = blender.fit_after(fitted, inputs, label, user)
    return fitted


def test_best_single_takes_the_best_column():
    logits, label, _ = sample(noise=(2.0, 1.0, 3.0))
    weights = fit(BEST_SINGLE, logits, label)
    assert np.array_equal(predict(BEST_SINGLE, weights, logits), logits[:, 1])


def test_logit_mean_is_the_mean():
    logits, label, _ = sample(n=50)
    weights = fit(LOGIT_MEAN, logits, label)
    assert np.allclose(predict(LOGIT_MEAN, weights, logits), logits.mean(1), atol=1e-15)


def test_rank_mean_has_mid_ranks_within_the_set_that_is_scored():
    weights = fit(RANK_MEAN, np.zeros((9, 2)), np.zeros(9))
    got = predict(RANK_MEAN, weights, np.array([[1.0, 5.0], [2.0, 5.0], [2.0, 9.0], [3.0, 0.0]]))
    first = np.array([0.5, 2.0, 2.0, 3.5]) / 4
    second = np.array([2.0, 2.0, 3.5, 0.5]) / 4
    assert np.allclose(got, (first + second) / 2, atol=1e-15)
    assert predict(RANK_MEAN, weights, np.array([[7.0, -7.0]])) == [0.5]


def test_rank_mean_ignores_the_scale_of_a_model():
    logits, label, _ = sample(n=500)
    weights = fit(RANK_MEAN, logits, label)
    stretched = np.exp(logits) * [1.0, 100.0, 1e-3]
    assert np.array_equal(
        predict(RANK_MEAN, weights, logits), predict(RANK_MEAN, weights, stretched)
    )


def test_hill_climbing_weighs_models_by_what_they_add():
    logits, label, _ = sample(noise=(1.0, 1.0, 30.0))
    logits = np.column_stack([logits, logits[:, 0]])  # a copy adds nothing new
    weights = fit(HILL_CLIMBING, logits, label)
    assert weights.sum() == pytest.approx(1)
    assert (weights * linear.STEPS).max() <= linear.STEPS
    assert weights[0] + weights[3] == pytest.approx(0.5, abs=0.1)
    assert weights[2] < 0.1
    climbed = auc(label, predict(HILL_CLIMBING, weights, logits))
    assert climbed > max(auc(label, column) for column in logits.T) + 0.05


def test_hill_climbing_stops_without_gain(monkeypatch):
    logits, label, _ = sample(noise=(1.0,))
    tried = []
    monkeypatch.setattr(
        linear, "auc", lambda *arguments: tried.append(arguments) or auc(*arguments)
    )
    copies = np.repeat(logits, 3, axis=1)
    assert np.array_equal(fit(HILL_CLIMBING, copies, label), [1, 0, 0])
    assert len(tried) == 3 + 1 + 3  # each alone, the best, one step that gains nothing


@pytest.mark.parametrize("blender", LINEAR, ids=lambda b: b.name)
def test_probabilities_keep_the_order_of_scores(blender):
    logits, label, _ = sample()
    logits[:2] = [[-900.0] * 3, [900.0] * 3]  # would overflow a naive sigmoid
    score = predict(blender, fit(blender, logits, label), logits)
    with np.errstate(over="raise"):
        p = blender.to_probability(score)
    assert ((p >= 0) & (p <= 1)).all()
    assert auc(label, p) == pytest.approx(auc(label, score), abs=1e-9)


def test_logistic_regression_finds_the_weights_and_the_base_rate():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    label = rng.random(20_000) < 1 / (1 + np.exp(-(logits @ [1.0, 0.5, 0.0] - 1)))
    weights = fit(LOGISTIC, logits, label.astype(int))
    assert weights == pytest.approx([1.0, 0.5, 0.0, -1.0], abs=0.06)
    got = predict(LOGISTIC, weights, logits)
    assert got == pytest.approx(logits @ weights[:3] + weights[3])


def test_blend_method_offers_every_blender():
    assert get_args(settings.BlenderName) == ("auto", *BLENDERS_BY_NAME), (
        "BlenderName (pipeline/config/settings.py) must list auto and BLENDERS_BY_NAME's names"
    )


def test_weights_are_a_number_per_model_trees_or_what_compares_them_within_slates():
    inputs, label, _, user = stacked(n=600)
    fitted = fit_all(inputs, label, user)
    for name, weights in fitted.items():
        if name == "slate_mean":
            assert weights == (fitted["slate_lightgbm"], fitted["slate_ranker"])
            continue
        assert isinstance(weights, WithinSlates) == BLENDERS_BY_NAME[name].uses_slates
        if isinstance(weights, WithinSlates):
            weights = weights.base
        assert isinstance(weights, Trees) or (
            weights.ndim == 1 and len(weights) in (len(inputs.models), len(inputs.models) + 1)
        )


def test_every_blender_has_a_line_in_the_docstring():
    assert [name for name in BLENDERS_BY_NAME if f"    {name} " not in registry.__doc__] == []


def test_the_temperature_is_fitted_on_users_that_the_trees_have_not_seen():
    inputs, label, _, user = stacked(n=8000, one_click=True)
    fitted = fit_all(inputs, label, user)
    trees, within = fitted["lightgbm"], fitted["slate_lightgbm"]
    assert within.base is trees
    rows = trees.held_out
    assert not set(user[rows]) & set(user[~rows])
    want = fit_choice_model(trees.held_out_score, inputs.slate[rows], label[rows])
    assert within.choice == want
    seen = fit_choice_model(LIGHTGBM.predict(trees, inputs), inputs.slate, label)
    assert within.choice.temperature > seen.temperature  # rows that the trees saw look too sharp


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda b: b.name)
def test_only_blenders_that_use_slates_look_at_other_rows_of_a_slate(blender):
    inputs, label, _, user = stacked(n=800, one_click=True)
    weights = fit_all(inputs, label, user)[blender.name]
    alone = replace(inputs, all_slate=np.arange(len(inputs)))
    same = np.array_equal(blender.predict(weights, inputs), blender.predict(weights, alone))
    assert same != blender.uses_slates
    some = user < 50  # whole slates: their scores do not depend on the others
    if blender is not RANK_MEAN:
        part = blender.predict(weights, inputs.take(some))
        assert np.allclose(part, blender.predict(weights, inputs)[some], atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_logits_that_are_not_finite(bad):
    logits, _, _ = sample(n=100)
    logits[3, 1] = bad
    with pytest.raises(ValueError, match="1 NaN or infinite of 300"):
        inputs_of(logits)
