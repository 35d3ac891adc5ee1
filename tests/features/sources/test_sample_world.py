"""The sample's world: its click probability against the equation."""

from dataclasses import replace

import numpy as np
import pytest

from features.sources import sample_world


@pytest.fixture(scope="module")
def world():
    return sample_world.make_world(n_items=600, n_tags=60, seed=0)


def probability(world, padded: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Click probability (N,) of items (N,) after padded histories (N, WIDTH)."""
    real = padded > 0
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
    logit = sample_world.click_logit(world, padded[real], offsets, item[:, None])
    return sample_world.sigmoid(logit[:, 0])


def test_click_logit_matches_the_equation_written_as_loops(world):
    rng = np.random.default_rng(0)
    values, offsets = sample_world.draw_histories(world, rng, 20)
    targets = sample_world.draw_targets(world, rng, sample_world.padded(values, offsets))
    want = np.zeros(targets.shape)
    for h, k in np.ndindex(*targets.shape):
        t, evidence, taste = targets[h, k], 0.0, 0.0
        for age, item in enumerate(values[offsets[h] : offsets[h + 1]][::-1]):
            alike = 0.5 ** (age / sample_world.HALF_LIFE) * (world.topic[t] @ world.topic[item])
            evidence += alike
            taste += alike * (world.style[t] @ world.style[item])
        match, taste = (x / (evidence + sample_world.PRIOR) for x in (evidence, taste))
        views = (world.views[t] - 5.5) / 4.5
        reception = (world.likes[t] - world.views[t]) / 4.5
        want[h, k] = world.intercept + match * (
            sample_world.MATCH + sample_world.MATCH_VIEWS * views
        )
        want[h, k] += taste * (sample_world.TASTE + sample_world.TASTE_RECEPTION * reception)
    np.testing.assert_allclose(
        sample_world.click_logit(world, values, offsets, targets), want, rtol=1e-9
    )


def test_histories_have_three_items_and_the_median_that_is_set_beyond_them(world):
    for history in (3.2, 20.0):
        longer = replace(world, history=history)
        _, offsets = sample_world.draw_histories(longer, np.random.default_rng(0), 20_000)
        length = np.diff(offsets)
        assert (length.min(), length.max()) == (3, 100)
        assert np.median(length) == pytest.approx(3 + history, abs=1)


def test_a_style_counts_only_among_items_of_a_similar_topic(world):
    target = 1
    alike = world.topic @ world.topic[target]
    same, opposite = (
        np.argmax(alike * (world.style @ world.style[target]) * sign) for sign in (1, -1)
    )
    far = np.flatnonzero(alike[1:] == 0)[:2] + 1
    padded = np.zeros((4, 100), dtype=np.int32)
    padded[:, -3:] = [
        [far[0], same, same],
        [far[1], same, same],
        [far[0], opposite, opposite],
        [far[0], far[0], far[0]],
    ]
    liked, still_liked, disliked, unknown = probability(world, padded, np.full(4, target))
    assert liked == still_liked
    assert disliked < unknown < liked
