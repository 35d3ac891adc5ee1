"""Slates: the rows of one split with equal user and equal history are candidates of one decision.

A slate is known without labels. Rows that share neither user nor history stand alone, each in a
slate of its own.
"""

import numpy as np

from features.store.store import Split


def slate_numbers(split: Split) -> np.ndarray:
    """The number of each row's slate, int64 (N,), from 0, in the order of (user, history)."""
    user, history = np.asarray(split.user, np.int64), np.asarray(split.history, np.int64)
    _, number = np.unique(user << 32 | history, return_inverse=True)
    return number.astype(np.int64)
