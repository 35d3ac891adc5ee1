"""Ridge regression of labels on items' vectors, against the same regression on rows."""

import numpy as np
import pytest

from cv import probe_linear
from cv.auc import auc

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(30, 4)) * [1, 5, 0, 2] + [0, 3, 7, 0]  # a column is constant
ITEM, FOLD = RNG.integers(0, 30, 400), RNG.integers(0, 3, 400)
LABEL = (RNG.random(400) < 0.2 + 0.5 * (VECTORS[ITEM, 0] > 0)).astype(np.uint8)


def test_scores_are_those_of_a_ridge_regression_on_rows():
    inside, outside = probe_linear.scores(VECTORS, ITEM, LABEL, FOLD, [np.arange(30)])
    shown = VECTORS[ITEM]
    deviation = shown.std(0)
    scaled = (VECTORS - shown.mean(0)) / np.where(deviation > 0, deviation, 1)
    x = np.column_stack([scaled, np.ones(30)])

    def fitted(rows: np.ndarray) -> np.ndarray:
        of_rows = x[ITEM[rows]]
        gram = of_rows.T @ of_rows + probe_linear.RIDGE * np.eye(5)
        return np.linalg.solve(gram, of_rows.T @ LABEL[rows])

    assert outside == pytest.approx(x @ fitted(np.full(400, True)))
    for k in range(3):
        assert inside[k == FOLD] == pytest.approx(x[ITEM[k == FOLD]] @ fitted(k != FOLD))
    assert auc(LABEL, inside) > 0.65


def test_scores_never_see_the_labels_of_their_fold():
    flipped = np.where(FOLD == 1, 1 - LABEL, LABEL)
    (one,), (other,) = (probe_linear.scores(VECTORS, ITEM, y, FOLD, []) for y in (LABEL, flipped))
    np.testing.assert_array_equal(one[FOLD == 1], other[FOLD == 1])
    assert (one[FOLD != 1] != other[FOLD != 1]).all()
