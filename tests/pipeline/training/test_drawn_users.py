"""A share of the users, drawn by their ids."""

import numpy as np
import pytest

from pipeline.training import context


@pytest.mark.parametrize("at_once", [7, 1 << 22])
def test_the_draw_of_a_user_is_the_one_at_its_id(monkeypatch, at_once):
    monkeypatch.setattr(context, "DRAWS_AT_ONCE", at_once)
    user = np.random.default_rng(1).integers(0, 60, 500).astype(np.int32)
    expected = (np.random.default_rng(5).random(int(user.max()) + 1) < 0.3)[user]
    np.testing.assert_array_equal(context.of_drawn_users(user, 0.3, 5), expected)
