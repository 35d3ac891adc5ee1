"""How many users clicked both the target and an item of the history.

    together_ij = users with i and j        cosine_ij = together_ij / sqrt(users_i users_j)

ui_together_*: the cosine's largest, mean, last and recent over the history; ui_pairs: ln(1 + Σ_j
together_ij). Null for an empty history. The clicks of a user of the other folds are the items of
the longest of their histories and the targets of their rows with label 1; those of all other users
are their given histories (given_histories.py).

Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms".
"""

import numpy as np
import polars as pl
from scipy import sparse

from features.columns import given_histories, history_ops
from features.store.store import Split, Store

COLUMNS = history_ops.columns("ui_together") | {"ui_pairs": pl.Float32}


def fit(store: Store, rows: np.ndarray) -> sparse.csr_array:
    """together (I, I) int32 from the train rows `rows`; on the diagonal, the users of each item."""
    clicked = clicks(store, rows)
    together = sparse.csr_array(clicked.T @ clicked)
    together.sort_indices()
    return together


def clicks(store: Store, rows: np.ndarray) -> sparse.csr_array:
    """1 where a user clicked an item: (U, I) int32, of the users of `rows`, then all others."""
    train = store.train.take(rows)
    n_items = len(store.items)
    users, user = np.unique(train.user, return_inverse=True)
    _, entries, before = history_ops.of_users(store, user, train.history)
    positive = train.label == 1
    given, other = given_histories.of_others(store, rows)
    of_user = np.concatenate((before, user[positive], len(users) + other))
    item = np.concatenate((entries, train.item[positive], given))
    once = np.unique(of_user * np.int64(n_items) + item)
    ones, n_users = np.ones(len(once), np.int32), len(users) + other.max(initial=-1) + 1
    return sparse.csr_array((ones, (once // n_items, once % n_items)), (n_users, n_items))


def describe(store: Store, split: Split, fitted: sparse.csr_array) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    root_users = np.sqrt(np.maximum(fitted.diagonal(), 1)).astype(np.float32)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        targets = np.repeat(target, np.diff(starts))
        together = values_at(fitted, targets, entries).astype(np.float32)
        cosine = together / (root_users[targets] * root_users[entries])
        pairs = np.log1p(history_ops.reduce(np.add, together, starts))
        parts.append(history_ops.summary("ui_together", cosine, starts) | {"ui_pairs": pairs})
    return history_ops.table(parts, COLUMNS)


def values_at(matrix: sparse.csr_array, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """matrix[row, column] (t,) of a matrix with sorted indices, by binary search in each row.

    Where rows are long, as those of popular items, SciPy's own indexing takes many times as long.
    """
    if not matrix.nnz:
        return np.zeros(len(row), matrix.dtype)
    low, end = matrix.indptr[row], matrix.indptr[row + 1]
    high, last = end, matrix.nnz - 1
    while (low < high).any():
        middle = low + (high - low) // 2  # the sum may exceed int32
        before = (low < high) & (matrix.indices[np.minimum(middle, last)] < column)
        low, high = np.where(before, middle + 1, low), np.where(before, high, middle)
    place = np.minimum(low, last)
    found = (low < end) & (matrix.indices[place] == column)
    return np.where(found, matrix.data[place], matrix.dtype.type(0))
