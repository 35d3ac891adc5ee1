"""The clicks of each user in their order, for features that learn from what follows what."""

import numpy as np

from features.columns import given_histories, history_ops
from features.store.store import Store


def sequences(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clicks, one user after the other: of the train rows `rows` (n,), then the given histories.

    Of each user of `rows`: the longest history, oldest first, then the clicked targets that came
    after it; of one slate with several, each counts as a click after the one of the row before. Of
    all other users what given_histories.py allows.

    Returns items (t,) int32 and the number of each one's user (t,) int64, ascending.
    """
    train = store.train.take(rows)
    one, entries, before = history_ops.of_users(store, train.user, train.history)
    user = np.searchsorted(train.user[one], train.user)
    newest = (train.label == 1) & (train.history == train.history[one][user])
    of_user = np.concatenate((before, user[newest]))
    order = np.argsort(of_user, kind="stable")
    given, of_others = given_histories.of_others(store, rows)
    items = np.concatenate((entries, train.item[newest]))[order]
    return np.concatenate((items, given)), np.concatenate((of_user[order], len(one) + of_others))
