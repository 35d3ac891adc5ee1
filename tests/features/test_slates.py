"""Slates of a split: rows of one user with one history."""

import numpy as np

from features.slates import slate_numbers
from features.store.store import Split


def test_rows_of_one_user_and_one_history_share_a_slate_wherever_they_stand():
    user = np.array([7, 3, 7, 7, 3, 9], np.int32)
    history = np.array([0, 0, 0, 5, 0, 2**31 - 1], np.int32)
    none = np.zeros(6, np.int32)
    split = Split(user=user, item=none, likes=none, views=none, history=history)
    number = slate_numbers(split)
    assert number.dtype == np.int64
    assert number.tolist() == [1, 0, 1, 2, 0, 3]
