"""Which users choose a stacker's number of trees."""

import numpy as np

from cv.folds import folds_up_to

PARTS = 10  # of the users, or as many as have both labels; the number is chosen on one of them


def stopping_rows(user: np.ndarray, label: np.ndarray) -> np.ndarray | None:
    """Bool (N,) of the rows that choose; None where no two parts of users have both labels.

    user (N,) ids, label (N,) 0 and 1
    """
    part = folds_up_to(user, label, PARTS, seed=0)
    return None if part is None else part == 0
