"""Histories of users who are not fitted on: what they clicked before the rows to be scored.

Histories are inputs, so those of held-out rows, of valid and of test may be read, as they are when
the rows are scored. Targets may not: an item that is the target of any row of a user, clicked or
not, is taken out of their history, because the history of a later row holds the clicked target of
an earlier one.
"""

import numpy as np

from features.columns import history_ops
from features.store.schema import SPLITS
from features.store.store import Store


def of_others(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The longest history, oldest first, of each user of any split without a train row in `rows`.

    Returns items (t,) int32 and the number of each one's user (t,) int64, ascending from 0.
    """
    fitted_on = np.unique(store.train.user[rows])
    user, item, history = (
        np.concatenate([getattr(getattr(store, split), name) for split in SPLITS])
        for name in ("user", "item", "history")
    )
    other = ~np.isin(user, fitted_on)
    user, item, history = user[other], item[other], history[other]
    one, entries, of_user = history_ops.of_users(store, user, history)
    targets = _pair(np.searchsorted(user[one], user), item)
    given = ~np.isin(_pair(of_user, entries), targets)
    return entries[given], of_user[given]


def _pair(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """One int64 for a user's number and an item."""
    return user.astype(np.int64) << 32 | item
