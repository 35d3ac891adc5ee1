"""The divisor of user ids whose remainder tells the label."""

import numpy as np
import pytest

from cv import residues
from cv.auc import auc

RNG = np.random.default_rng(0)
USER = np.repeat(RNG.choice(5000, 1500, replace=False), 4)
FOLD = USER % 1009 % 5


def labels(clicked: np.ndarray) -> np.ndarray:
    """A quarter of clicks, but half of the labels follow `clicked`."""
    follows = RNG.random(len(USER)) < 0.5
    return np.where(follows, clicked, RNG.random(len(USER)) < 0.25).astype(np.uint8)


@pytest.mark.parametrize("divisor", [2, 7, 37, 64])
def test_the_divisor_is_found_and_its_remainder_tells_the_label(divisor):
    label = labels(USER % divisor < (divisor + 3) // 4)
    assert residues.best_divisor(USER, label) % divisor == 0
    (inside, outside), chosen = residues.scores(USER, label, FOLD, [USER[:50]])
    assert chosen == residues.best_divisor(USER, label)
    assert auc(label, inside) > 0.65
    assert len(outside) == 50


def test_without_a_leak_no_divisor_tells_anything_although_the_best_is_taken():
    label = (RNG.random(len(USER)) < 0.25).astype(np.uint8)
    (inside,), _ = residues.scores(USER, label, FOLD, [])
    assert auc(label, inside) == pytest.approx(0.5, abs=0.03)


def test_neither_divisor_nor_score_of_a_fold_sees_its_labels():
    label = labels(USER % 7 < 2)
    flipped = np.where(FOLD == 1, 1 - label, label)
    (one,), (other,) = (residues.scores(USER, y, FOLD, [])[0] for y in (label, flipped))
    np.testing.assert_array_equal(one[FOLD == 1], other[FOLD == 1])
    assert (one[FOLD != 1] != other[FOLD != 1]).any()
