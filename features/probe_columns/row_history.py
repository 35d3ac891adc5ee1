"""How a row's history differs from those of the same user's other rows in the split.

    h_length_step    its length less the mean length over the user's rows
    h_repeated_step  its repeated items less their mean over the user's rows
    h_alike          share of the user's rows that have this very history
    h_agrees         share of its entries that equal those of the user's most frequent history (the
                     lowest history number of several), counted from the latest entry on
    h_reversed       the same share, with the most frequent history read backwards

A user whose rows have one history has 0, 0, 1, 1 and 1.
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = {"h_length_step": pl.Float32, "h_repeated_step": pl.Float32, "h_alike": pl.Float32}
COLUMNS |= {"h_agrees": pl.Float32, "h_reversed": pl.Float32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    pair = np.asarray(split.user, np.int64) << 32 | np.asarray(split.history, np.int64)
    pairs, of_row, rows = np.unique(pair, return_inverse=True, return_counts=True)
    _, first, user = np.unique(pairs >> 32, return_index=True, return_inverse=True)
    described = np.zeros((len(pairs), len(COLUMNS)), np.float32)
    described[:, 2:] = 1
    several = np.flatnonzero((np.bincount(user) > 1)[user])  # pairs of users with histories
    if len(several):
        order = np.lexsort((-rows, user))  # of each user's pairs, the most frequent first
        described[several] = _compared(
            store, pairs & (2**32 - 1), rows, user, order[first][user], several
        )
    return pl.DataFrame(described[of_row], schema=COLUMNS)


def _compared(
    store: Store,
    history: np.ndarray,
    rows: np.ndarray,
    user: np.ndarray,
    frequent: np.ndarray,
    several: np.ndarray,
) -> np.ndarray:
    """COLUMNS (p, 5) of the pairs `several` (p,) of a user and a history.

    history, rows, user, frequent: (P,) of all pairs: the history's number, how many rows have the
    pair, the user's number, and which pair has the user's most frequent history.
    """
    entries, starts = history_ops.histories(store, history[several])
    length = np.diff(starts)
    pair = np.repeat(np.arange(len(several)), length)
    age = starts[pair + 1] - 1 - np.arange(len(entries))
    distinct = np.unique(pair << 32 | entries) >> 32
    repeated = length - np.bincount(distinct, minlength=len(several))
    other = history[frequent[several]]
    low, high = store.offsets[other][pair], store.offsets[other + 1][pair]
    inside, last = age < high - low, max(len(store.values) - 1, 0)
    agrees = inside & (store.values[np.clip(high - 1 - age, 0, last)] == entries)
    reversed_ = inside & (store.values[np.clip(low + age, 0, last)] == entries)
    n, of_user = rows[several], user[several]

    def step(value: np.ndarray) -> np.ndarray:
        mean = np.bincount(of_user, n * value) / np.maximum(np.bincount(of_user, n), 1)
        return value - mean[of_user]

    def share(hit: np.ndarray) -> np.ndarray:
        return np.bincount(pair, hit, minlength=len(several)) / np.maximum(length, 1)

    alike = n / np.bincount(of_user, n)[of_user]
    return np.column_stack([step(length), step(repeated), alike, share(agrees), share(reversed_)])
