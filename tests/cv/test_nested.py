"""Nested scores: what a blender is judged by, and which is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from cv.auc import auc
from cv.blenders.blender import Blender
from cv.blenders.linear import HILL_CLIMBING, LOGISTIC, LOGIT_MEAN
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.blenders.trees import FEATURES_ONLY, LIGHTGBM
from cv.blenders.within_slates import SLATE_LIGHTGBM, SLATE_RANKER
from cv.nested import BlenderScore, compare, winner
from tests.helpers.stacking import inputs_of, sample, stacked

BLENDERS = list(BLENDERS_BY_NAME.values())


def means(blenders, inputs, label, fold, user=None):
    """The nested mean of every blender, by name."""
    user = np.arange(len(label)) if user is None else user
    return {s.name: s.mean for s in compare(blenders, inputs, label, fold, user)}


def score_of(name, folds, uses_slates=False):
    return BlenderScore(
        name=name, uses_slates=uses_slates, folds=folds, scores=np.empty(0), weights=None
    )


def test_every_blender_is_fitted_on_the_other_folds_and_scored_on_the_fold():
    inputs, label, fold, user = stacked(n=1500)
    scores = list(compare(BLENDERS, inputs, label, fold, user))
    assert [s.name for s in scores] == list(BLENDERS_BY_NAME)
    want, on_all = {b.name: [] for b in BLENDERS}, {}
    for blender in BLENDERS:
        on_all[blender.name] = blender.fit_after(on_all, inputs, label, user)
    for k in range(5):
        out, fitted = fold != k, {}
        for blender in BLENDERS:
            weights = blender.fit_after(fitted, inputs.take(out), label[out], user[out])
            fitted[blender.name] = weights
            predicted = blender.predict(weights, inputs.take(~out))
            assert np.array_equal(predicted, scores[len(fitted) - 1].scores[~out])
            want[blender.name].append(auc(label[~out], predicted))
    for score, blender in zip(scores, BLENDERS, strict=True):
        assert list(score.folds) == want[blender.name]
        assert score.mean == pytest.approx(np.mean(score.folds))
        every = blender.predict(on_all[blender.name], inputs)
        assert np.array_equal(blender.predict(score.weights, inputs), every)


def test_a_fold_cannot_see_its_own_labels():
    """Fitting sees no row of the fold that it is scored on, whatever the blender does with it."""
    seen = []  # in any order: folds are fitted side by side

    def predict(fitted_on, inputs):
        seen.append((fitted_on, set(inputs.logits[:, 0])))
        return inputs.logits[:, 0]

    spy = Blender(
        name="spy", fit=lambda inputs, label, user: set(inputs.logits[:, 0]), predict=predict
    )
    logits, label, fold = sample(n=400)
    (score,) = compare([spy], inputs_of(logits), label, fold, label)
    folds = [(set(logits[fold != k, 0]), set(logits[fold == k, 0])) for k in range(5)]
    assert len(seen) == len(folds)
    assert all(pair in seen for pair in folds)
    assert score.weights == set(logits[:, 0])  # all rows, for the submission


def test_scores_of_a_fold_do_not_move_with_its_labels():
    """Nor does the temperature of those that compare rows within slates."""
    inputs, label, fold, user = stacked(n=1500, one_click=True)
    held_out = fold == 0
    flipped = np.where(held_out, 1 - label, label)
    pairs = zip(
        compare(BLENDERS, inputs, label, fold, user),
        compare(BLENDERS, inputs, flipped, fold, user),
        strict=True,
    )
    for one, other in pairs:
        assert np.array_equal(one.scores[held_out], other.scores[held_out])
        if one.name not in ("rank_mean", "logit_mean", "best_single", "hill_climbing"):
            assert not np.array_equal(one.scores[~held_out], other.scores[~held_out])


def test_nested_scores_do_not_reward_what_is_good_only_where_it_was_chosen():
    """Of 60 columns of noise the best looks good where it was chosen, and nowhere else."""
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(300, 60)), rng.integers(0, 2, 300)
    fold = rng.integers(0, 5, 300)
    in_sample = auc(label, logits @ HILL_CLIMBING.fit(inputs_of(logits), label, label))
    assert in_sample > 0.6
    assert abs(means([HILL_CLIMBING], inputs_of(logits), label, fold)["hill_climbing"] - 0.5) < 0.05


@pytest.mark.parametrize("blender", [HILL_CLIMBING, LOGISTIC], ids=lambda b: b.name)
def test_a_model_of_noise_gains_nothing(blender):
    logits, label, fold = sample(n=4000, noise=(1.0, 1.2))
    noisy = np.column_stack([logits, np.random.default_rng(9).normal(size=len(label))])
    with_noise = means([blender], inputs_of(noisy), label, fold)
    without = means([blender], inputs_of(logits), label, fold)
    assert with_noise[blender.name] - without[blender.name] < 2e-4


@pytest.mark.parametrize("blender", [FEATURES_ONLY, LIGHTGBM], ids=lambda b: b.name)
def test_features_of_noise_gain_nothing(blender):
    """Over several draws: one alone may gain a little by chance, as it may lose."""
    gains = []
    for seed in range(4):
        inputs, label, fold, user = stacked(n=4000, seed=seed)
        noise = np.random.default_rng([9, seed]).normal(size=(len(label), 2))
        noisy = inputs_of(inputs.logits, np.hstack([inputs.features, noise]))
        with_noise, without = (means([blender], x, label, fold, user) for x in (noisy, inputs))
        gains.append(with_noise[blender.name] - without[blender.name])
    assert np.mean(gains) < 5e-4


def test_the_stacker_gains_by_a_feature_that_the_networks_lack():
    inputs, label, fold, user = stacked()
    mean = means([LOGISTIC, FEATURES_ONLY, LIGHTGBM], inputs, label, fold, user)
    assert mean["lightgbm"] > max(mean["logistic"], mean["features_only"]) + 0.01


def test_of_one_click_a_slate_the_slate_gains_and_is_chosen():
    inputs, label, fold, user = stacked(n=6000, one_click=True)
    scores = list(compare(BLENDERS, inputs, label, fold, user))
    mean = {s.name: s.mean for s in scores}
    assert mean["slate_logistic"] > mean["logistic"] + 0.02
    assert mean["slate_lightgbm"] > mean["lightgbm"] + 0.02
    assert winner(scores).uses_slates


@pytest.mark.parametrize("seed", range(3))
def test_of_independent_labels_no_blender_that_uses_slates_is_chosen(seed):
    """Though each of them is tried; the softmax over the slate would lose much."""
    inputs, label, fold, user = stacked(n=6000, seed=seed)
    tried = [LIGHTGBM, SLATE_LIGHTGBM, SLATE_RANKER]
    scores = list(compare(tried, inputs, label, fold, user))
    mean = {s.name: s.mean for s in scores}
    assert winner(scores).name == "lightgbm"
    assert mean["slate_lightgbm"] > mean["lightgbm"] - 0.002


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ((0.002, 0.003, 0.002), "slate_lightgbm"),
        ((0.0009, 0.0009, 0.0009), "lightgbm"),  # less than SLATE_GAIN
        ((0.02, -0.02, 0.006), "lightgbm"),  # as much by chance
        ((0.009, 0.005), "lightgbm"),  # two folds agree so well by chance
        ((0.03, 0.033), "slate_lightgbm"),
    ],
)
def test_slates_must_gain_more_than_a_tie_and_more_than_chance(gains, chosen):
    alone = score_of("lightgbm", (0.7, 0.71, 0.72)[: len(gains)])
    folds = tuple(f + g for f, g in zip(alone.folds, gains, strict=True))
    assert winner([alone, score_of("slate_lightgbm", folds, uses_slates=True)]).name == chosen


def test_the_weights_of_a_score_are_fitted_on_every_row():
    count = Blender(
        name="count",
        fit=lambda inputs, label, user: (len(inputs), len(label), len(user)),
        predict=lambda weights, inputs: inputs.logits[:, 0],
    )
    logits, label, fold = sample(n=300)
    (only,) = compare([count], inputs_of(logits), label, fold, np.arange(300))
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
    assert winner([score_of(n, (m, m)) for n, m in zip(names, means, strict=True)]).name == want


def test_refuses_a_single_fold():
    logits, label, fold = sample(n=100)
    with pytest.raises(ValueError, match="at least 2 folds; got 1"):
        means([LOGIT_MEAN], inputs_of(logits), label, np.zeros_like(fold))


def test_a_blender_whose_scores_are_equal_is_not_chosen():
    """Trees of rows too few to split beat networks below chance, and rank nothing."""
    flat = replace(score_of("flat", (0.5, 0.5)), ranks=False)
    assert winner([score_of("network", (0.4, 0.45)), flat]).name == "network"
    assert winner([flat]).name == "flat"
    inputs, label, fold, user = stacked(n=1500)
    blenders = [
        Blender(name=name, fit=lambda *given: None, predict=lambda weights, rows, f=f: f(rows))
        for name, f in (("flat", lambda rows: np.ones(len(rows))), ("first", first_model))
    ]
    ranks = {score.name: score.ranks for score in compare(blenders, inputs, label, fold, user)}
    assert ranks == {"flat": False, "first": True}


def first_model(rows):
    return rows.logits[:, 0]
