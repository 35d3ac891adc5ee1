import numpy as np
import pytest

from cv import blend
from cv.auc import auc


def sample(n=2000, seed=0, noise=(1.0, 1.5, 2.0)):
    """Models (n, len(noise)) that see the same truth, each through noise of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    logits = label[:, None] + rng.normal(size=(n, len(noise))) * np.array(noise)
    return logits, label, rng.integers(0, 5, n)


def row(name, mean):
    return blend.Row(name=name, mean=mean, sd=0.0, folds=(mean,), weights=None)


def test_best_single_takes_the_best_column():
    logits, label, _ = sample(noise=(2.0, 1.0, 3.0))
    weights = blend.BEST_SINGLE.fit(logits, label)
    assert np.array_equal(blend.BEST_SINGLE.predict(weights, logits), logits[:, 1])


def test_logit_mean_is_the_mean():
    logits, label, _ = sample(n=50)
    weights = blend.LOGIT_MEAN.fit(logits, label)
    assert np.allclose(blend.LOGIT_MEAN.predict(weights, logits), logits.mean(1), atol=1e-15)


def test_rank_mean_has_mid_ranks_within_the_set_that_is_scored():
    weights = blend.RANK_MEAN.fit(np.zeros((9, 2)), np.zeros(9))
    got = blend.RANK_MEAN.predict(
        weights, np.array([[1.0, 5.0], [2.0, 5.0], [2.0, 9.0], [3.0, 0.0]])
    )
    first = np.array([0.5, 2.0, 2.0, 3.5]) / 4
    second = np.array([2.0, 2.0, 3.5, 0.5]) / 4
    assert np.allclose(got, (first + second) / 2, atol=1e-15)
    assert blend.RANK_MEAN.predict(weights, np.array([[7.0, -7.0]])) == [0.5]


def test_rank_mean_ignores_the_scale_of_a_model():
    logits, label, _ = sample(n=500)
    weights = blend.RANK_MEAN.fit(logits, label)
    stretched = np.exp(logits) * [1.0, 100.0, 1e-3]
    assert np.array_equal(
        blend.RANK_MEAN.predict(weights, logits), blend.RANK_MEAN.predict(weights, stretched)
    )


def test_hill_climbing_weighs_models_by_what_they_add():
    logits, label, _ = sample(noise=(1.0, 1.0, 30.0))
    logits = np.column_stack([logits, logits[:, 0]])  # a copy adds nothing new
    weights = blend.HILL_CLIMBING.fit(logits, label)
    assert weights.sum() == pytest.approx(1)
    assert (weights * blend.STEPS).max() <= blend.STEPS
    assert weights[0] + weights[3] == pytest.approx(0.5, abs=0.1)
    assert weights[2] < 0.1
    climbed = auc(label, blend.HILL_CLIMBING.predict(weights, logits))
    assert climbed > max(auc(label, column) for column in logits.T) + 0.05


def test_hill_climbing_stops_without_gain(monkeypatch):
    logits, label, _ = sample(noise=(1.0,))
    tried = []
    monkeypatch.setattr(blend, "auc", lambda *given: tried.append(given) or auc(*given))
    copies = np.repeat(logits, 3, axis=1)
    assert np.array_equal(blend.HILL_CLIMBING.fit(copies, label), [1, 0, 0])
    assert len(tried) == 3 + 1 + 3  # each alone, the best, one step that gains nothing


@pytest.mark.parametrize("blender", blend.BLENDERS, ids=lambda b: b.name)
def test_shipped_scores_are_probabilities_in_the_same_order(blender):
    logits, label, _ = sample()
    logits[:2] = [[-900.0] * 3, [900.0] * 3]  # would overflow a naive sigmoid
    score = blender.predict(blender.fit(logits, label), logits)
    with np.errstate(over="raise"):
        p = blender.to_probability(score)
    assert ((p >= 0) & (p <= 1)).all()
    assert auc(label, p) == pytest.approx(auc(label, score), abs=1e-9)


@pytest.mark.parametrize("blender", blend.BLENDERS, ids=lambda b: b.name)
def test_nested_is_fit_on_the_others_and_scored_on_the_fold(blender):
    logits, label, fold = sample()
    want = []
    for k in range(5):
        weights = blender.fit(logits[fold != k], label[fold != k])
        want.append(auc(label[fold == k], blender.predict(weights, logits[fold == k])))
    got = blend.nested(blender, logits, label, fold)
    assert got.folds == pytest.approx(want, abs=1e-12)
    assert got.mean == pytest.approx(np.mean(want))
    assert got.sd == pytest.approx(np.std(want, ddof=1))


def test_a_fold_cannot_see_its_own_labels():
    """Fitting sees no row of the fold that it is scored on, whatever the blender does with it."""
    seen = []
    spy = blend.Blender(
        name="spy",
        fit=lambda logits, label: seen.append(set(logits[:, 0])),
        predict=lambda weights, logits: logits[:, 0],
    )
    logits, label, fold = sample(n=400)
    blend.nested(spy, logits, label, fold)
    assert seen == [set(logits[fold != k, 0]) for k in range(5)]


def test_nested_is_not_fooled_by_what_memory_alone_would_find():
    """Of 60 columns of noise the best looks good where it was chosen, and nowhere else."""
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(300, 60)), rng.integers(0, 2, 300)
    fold = rng.integers(0, 5, 300)
    in_sample = auc(label, logits @ blend.HILL_CLIMBING.fit(logits, label))
    assert in_sample > 0.6
    assert abs(blend.nested(blend.HILL_CLIMBING, logits, label, fold).mean - 0.5) < 0.05


def test_a_column_of_noise_gains_nothing():
    logits, label, fold = sample(n=4000, noise=(1.0, 1.2))
    noisy = np.column_stack([logits, np.random.default_rng(9).normal(size=len(label))])
    with_noise = blend.nested(blend.HILL_CLIMBING, noisy, label, fold)
    without = blend.nested(blend.HILL_CLIMBING, logits, label, fold)
    assert with_noise.mean - without.mean < 2e-4


def test_compare_has_a_row_a_blender_and_ships_weights_of_all_rows():
    logits, label, fold = sample()
    named = dict(zip(("qin", "final", "din"), logits.T, strict=True))
    rows = blend.compare(named, label, fold)
    assert [r.name for r in rows] == [b.name for b in blend.BLENDERS]
    for r, blender in zip(rows, blend.BLENDERS, strict=True):
        assert np.array_equal(r.weights, blender.fit(logits, label))
        assert r.folds == blend.nested(blender, logits, label, fold).folds
    assert blend.winner(rows).mean >= max(r.mean for r in rows) - blend.TIE


def test_shipped_weights_are_fitted_on_every_row(monkeypatch):
    count = blend.Blender(
        name="count",
        fit=lambda logits, label: (len(logits), len(label)),
        predict=lambda weights, logits: logits[:, 0],
    )
    monkeypatch.setattr(blend, "BLENDERS", (count,))
    assert blend.compare(*sample(n=300))[0].weights == (300, 300)


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
    names = [b.name for b in blend.BLENDERS]
    assert blend.winner([row(n, m) for n, m in zip(names, means, strict=True)]).name == want


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_logits_that_are_not_finite(bad):
    logits, label, fold = sample(n=100)
    logits[3, 1] = bad
    with pytest.raises(ValueError, match="1 NaN or infinite of 300"):
        blend.nested(blend.RANK_MEAN, logits, label, fold)


def test_refuses_a_single_fold():
    logits, label, fold = sample(n=100)
    with pytest.raises(ValueError, match="at least 2 folds; got 1"):
        blend.nested(blend.LOGIT_MEAN, logits, label, np.zeros_like(fold))
