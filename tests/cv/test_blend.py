"""Blenders and nested folds."""

from typing import get_args

import numpy as np
import pytest

from cv import blend
from cv.auc import auc
from cv.blend import Inputs
from pipeline.config import settings


def sample(n=2000, seed=0, noise=(1.0, 1.5, 2.0)):
    """Models (n, len(noise)) that see the same truth, each through noise of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    logits = label[:, None] + rng.normal(size=(n, len(noise))) * np.array(noise)
    return logits, label, rng.integers(0, 5, n)


def inputs_of(logits, features=None):
    return Inputs.of(
        {f"m{i}": column for i, column in enumerate(logits.T)},
        None if features is None else {f"f{i}": column for i, column in enumerate(features.T)},
    )


def fit(blender, logits, label):
    return blender.fit(inputs_of(logits), label, np.arange(len(label)))


def predict(blender, weights, logits):
    return blender.predict(weights, inputs_of(logits))


def nested(blender, inputs, label, fold):
    return blend.nested(blender, inputs, label, fold, np.arange(len(label)))


BLENDERS = list(blend.BLENDERS_BY_NAME.values())
LINEAR = [b for b in BLENDERS if b.name not in ("features_only", "lightgbm")]


def score_of(name, mean):
    return blend.BlenderScore(name=name, mean=mean, sd=0.0, folds=(mean,), weights=None)


def test_best_single_takes_the_best_column():
    logits, label, _ = sample(noise=(2.0, 1.0, 3.0))
    weights = fit(blend.BEST_SINGLE, logits, label)
    assert np.array_equal(predict(blend.BEST_SINGLE, weights, logits), logits[:, 1])


def test_logit_mean_is_the_mean():
    logits, label, _ = sample(n=50)
    weights = fit(blend.LOGIT_MEAN, logits, label)
    assert np.allclose(predict(blend.LOGIT_MEAN, weights, logits), logits.mean(1), atol=1e-15)


def test_rank_mean_has_mid_ranks_within_the_set_that_is_scored():
    weights = fit(blend.RANK_MEAN, np.zeros((9, 2)), np.zeros(9))
    got = predict(
        blend.RANK_MEAN, weights, np.array([[1.0, 5.0], [2.0, 5.0], [2.0, 9.0], [3.0, 0.0]])
    )
    first = np.array([0.5, 2.0, 2.0, 3.5]) / 4
    second = np.array([2.0, 2.0, 3.5, 0.5]) / 4
    assert np.allclose(got, (first + second) / 2, atol=1e-15)
    assert predict(blend.RANK_MEAN, weights, np.array([[7.0, -7.0]])) == [0.5]


def test_rank_mean_ignores_the_scale_of_a_model():
    logits, label, _ = sample(n=500)
    weights = fit(blend.RANK_MEAN, logits, label)
    stretched = np.exp(logits) * [1.0, 100.0, 1e-3]
    assert np.array_equal(
        predict(blend.RANK_MEAN, weights, logits), predict(blend.RANK_MEAN, weights, stretched)
    )


def test_hill_climbing_weighs_models_by_what_they_add():
    logits, label, _ = sample(noise=(1.0, 1.0, 30.0))
    logits = np.column_stack([logits, logits[:, 0]])  # a copy adds nothing new
    weights = fit(blend.HILL_CLIMBING, logits, label)
    assert weights.sum() == pytest.approx(1)
    assert (weights * blend.STEPS).max() <= blend.STEPS
    assert weights[0] + weights[3] == pytest.approx(0.5, abs=0.1)
    assert weights[2] < 0.1
    climbed = auc(label, predict(blend.HILL_CLIMBING, weights, logits))
    assert climbed > max(auc(label, column) for column in logits.T) + 0.05


def test_hill_climbing_stops_without_gain(monkeypatch):
    logits, label, _ = sample(noise=(1.0,))
    tried = []
    monkeypatch.setattr(blend, "auc", lambda *arguments: tried.append(arguments) or auc(*arguments))
    copies = np.repeat(logits, 3, axis=1)
    assert np.array_equal(fit(blend.HILL_CLIMBING, copies, label), [1, 0, 0])
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


def stacked(n=3000, seed=0):
    """Inputs of which a feature adds to the logits; label, fold and user (4 rows each)."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    label = (rng.random(n) < 1 / (1 + np.exp(-1.5 * hidden))).astype(int)
    logits = (hidden + rng.normal(size=n))[:, None] + rng.normal(size=(n, 2)) * 0.5
    features = hidden[:, None] + rng.normal(size=(n, 2)) * [1.0, 3.0]
    features[rng.random(n) < 0.1, 0] = np.nan
    user = np.arange(n) // 4
    return inputs_of(logits, features), label, user % 5, user


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda b: b.name)
def test_nested_is_fit_on_the_others_and_scored_on_the_fold(blender):
    inputs, label, fold, user = stacked()
    want = []
    for k in range(5):
        out = fold != k
        weights = blender.fit(inputs.take(out), label[out], user[out])
        want.append(auc(label[~out], blender.predict(weights, inputs.take(~out))))
    got = blend.nested(blender, inputs, label, fold, user)
    assert got.folds == pytest.approx(want, abs=1e-12)
    assert got.mean == pytest.approx(np.mean(want))
    assert got.sd == pytest.approx(np.std(want, ddof=1))


def test_a_fold_cannot_see_its_own_labels():
    """Fitting sees no row of the fold that it is scored on, whatever the blender does with it."""
    seen = []
    spy = blend.Blender(
        name="spy",
        fit=lambda inputs, label, user: seen.append(set(inputs.logits[:, 0])),
        predict=lambda weights, inputs: inputs.logits[:, 0],
    )
    logits, label, fold = sample(n=400)
    nested(spy, inputs_of(logits), label, fold)
    assert seen == [set(logits[fold != k, 0]) for k in range(5)]


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda b: b.name)
def test_scores_of_a_fold_do_not_move_with_its_labels(blender):
    inputs, label, fold, user = stacked(n=1500)
    out = fold != 0
    scores = []
    for labels in (label, np.where(out, label, 1 - label)):
        weights = blender.fit(inputs.take(out), labels[out], user[out])
        scores.append(blender.predict(weights, inputs.take(~out)))
    assert np.array_equal(*scores)


def test_nested_scores_do_not_reward_what_is_good_only_where_it_was_chosen():
    """Of 60 columns of noise the best looks good where it was chosen, and nowhere else."""
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(300, 60)), rng.integers(0, 2, 300)
    fold = rng.integers(0, 5, 300)
    in_sample = auc(label, logits @ fit(blend.HILL_CLIMBING, logits, label))
    assert in_sample > 0.6
    assert abs(nested(blend.HILL_CLIMBING, inputs_of(logits), label, fold).mean - 0.5) < 0.05


@pytest.mark.parametrize("blender", LINEAR[3:], ids=lambda b: b.name)
def test_a_model_of_noise_gains_nothing(blender):
    logits, label, fold = sample(n=4000, noise=(1.0, 1.2))
    noisy = np.column_stack([logits, np.random.default_rng(9).normal(size=len(label))])
    with_noise = nested(blender, inputs_of(noisy), label, fold)
    without = nested(blender, inputs_of(logits), label, fold)
    assert with_noise.mean - without.mean < 2e-4


@pytest.mark.parametrize("blender", [blend.FEATURES_ONLY, blend.LIGHTGBM], ids=lambda b: b.name)
def test_features_of_noise_gain_nothing(blender):
    """Over several draws: one alone may gain a little by chance, as it may lose."""
    gains = []
    for seed in range(4):
        inputs, label, fold, user = stacked(n=4000, seed=seed)
        noise = np.random.default_rng([9, seed]).normal(size=(len(label), 2))
        noisy = inputs_of(inputs.logits, np.hstack([inputs.features, noise]))
        with_noise, without = (
            blend.nested(blender, x, label, fold, user).mean for x in (noisy, inputs)
        )
        gains.append(with_noise - without)
    assert np.mean(gains) < 5e-4


def test_the_stacker_gains_by_a_feature_that_the_networks_lack():
    inputs, label, fold, user = stacked()
    means = {b.name: blend.nested(b, inputs, label, fold, user).mean for b in BLENDERS}
    assert means["lightgbm"] > max(means["logistic"], means["features_only"]) + 0.01


def test_logistic_regression_finds_the_weights_and_the_base_rate():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    label = rng.random(20_000) < 1 / (1 + np.exp(-(logits @ [1.0, 0.5, 0.0] - 1)))
    weights = fit(blend.LOGISTIC, logits, label.astype(int))
    assert weights == pytest.approx([1.0, 0.5, 0.0, -1.0], abs=0.06)
    got = predict(blend.LOGISTIC, weights, logits)
    assert got == pytest.approx(logits @ weights[:3] + weights[3])


def test_compare_scores_every_blender_and_fits_its_weights_on_all_rows():
    inputs, label, fold, user = stacked(n=1500)
    scores = list(blend.compare(inputs, label, fold, user))
    assert [s.name for s in scores] == [b.name for b in BLENDERS]
    for s, blender in zip(scores, BLENDERS, strict=True):
        assert np.array_equal(s.weights, blender.fit(inputs, label, user))
        assert s.folds == blend.nested(blender, inputs, label, fold, user).folds
    assert blend.winner(scores).mean >= max(s.mean for s in scores) - blend.TIE


def test_the_weights_of_a_score_are_fitted_on_every_row(monkeypatch):
    count = blend.Blender(
        name="count",
        fit=lambda inputs, label, user: (len(inputs), len(label), len(user)),
        predict=lambda weights, inputs: inputs.logits[:, 0],
    )
    monkeypatch.setattr(blend, "BLENDERS_BY_NAME", {"count": count})
    logits, label, fold = sample(n=300)
    (only,) = blend.compare(inputs_of(logits), label, fold, np.arange(300))
    assert only.weights == (300, 300, 300)


@pytest.mark.parametrize(
    ("means", "want"),
    [
        ((0.7, 0.71, 0.72, 0.73), "hill_climbing"),
        ((0.7, 0.71, 0.72, 0.715), "logit_mean"),
        ((0.7, 0.72, 0.72 + 5e-6, 0.72 - 1e-3), "rank_mean"),  # closer than TIE: the simpler one
        ((0.7, 0.7, 0.7, 0.7), "best_single"),
    ],
)
def test_the_winner_is_the_highest_and_of_ties_the_simplest(means, want):
    names = ("best_single", "rank_mean", "logit_mean", "hill_climbing")
    assert blend.winner([score_of(n, m) for n, m in zip(names, means, strict=True)]).name == want


def test_blend_method_offers_every_blender():
    assert get_args(settings.BlenderName) == ("auto", *blend.BLENDERS_BY_NAME), (
        "BlenderName (pipeline/config/settings.py) must list auto and BLENDERS_BY_NAME's names"
    )


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda b: b.name)
def test_weights_are_a_number_per_model_or_text(blender):
    inputs, label, _, user = stacked(n=600)
    weights = blender.fit(inputs, label, user)
    assert isinstance(weights, str) or (
        weights.ndim == 1 and len(weights) in (len(inputs.models), len(inputs.models) + 1)
    )
    assert blend.BLENDERS_BY_NAME[blender.name] is blender
    assert blender.name in blend.__doc__, f"a line about {blender.name} in the docstring is missing"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_logits_that_are_not_finite(bad):
    logits, _, _ = sample(n=100)
    logits[3, 1] = bad
    with pytest.raises(ValueError, match="1 NaN or infinite of 300"):
        inputs_of(logits)


def test_refuses_a_single_fold():
    logits, label, fold = sample(n=100)
    with pytest.raises(ValueError, match="at least 2 folds; got 1"):
        nested(blend.LOGIT_MEAN, inputs_of(logits), label, np.zeros_like(fold))
