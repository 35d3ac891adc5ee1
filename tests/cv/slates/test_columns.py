"""Columns beside those of the slate's other rows, against loops."""

import numpy as np

from cv.slates.columns import names, over_best

RNG = np.random.default_rng(0)


def test_each_value_is_compared_with_the_best_of_the_others():
    slate = RNG.integers(0, 30, 100)
    columns = RNG.normal(size=(100, 3)).round(1).astype(np.float32)  # rounded: ties
    columns[RNG.random((100, 3)) < 0.2] = np.nan
    beside = over_best(columns, slate)
    assert beside.dtype == np.float32
    for i in range(100):
        for c in range(3):
            others = [columns[j, c] for j in range(100) if slate[j] == slate[i] and j != i]
            known = [value for value in others if not np.isnan(value)] or [np.nan]
            np.testing.assert_allclose(beside[i, c], columns[i, c] - max(known), atol=1e-6)


def test_a_row_that_stands_alone_has_nothing_beside_it():
    beside = over_best(np.ones((3, 2), np.float32), np.array([0, 1, 1]))
    assert np.isnan(beside[0]).all()
    assert (beside[1:] == 0).all()


def test_they_are_written_where_the_caller_wants_them():
    table = RNG.normal(size=(50, 6)).astype(np.float32)
    columns, slate = table[:, :3].copy(), RNG.integers(0, 9, 50)
    written = over_best(table[:, :3], slate, table[:, 3:])
    assert written.base is table
    np.testing.assert_array_equal(table[:, :3], columns)
    np.testing.assert_array_equal(table[:, 3:], over_best(columns, slate))


def test_names_are_in_the_order_of_the_columns():
    assert names(("a", "b")) == ("a_over_best", "b_over_best")
