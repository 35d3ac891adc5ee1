"""Cosine of target and history items as users click them: vectors of a truncated SVD.

    C_ui = 1 / sqrt(users of i) where user u clicked item i;  C ≈ U S V^T;  item i: row i of V S

Who clicked what is as in covisitation.py, from users of other folds alone. Largest, mean, last and
recent over the history; null where it is empty, 0 against an item that nobody clicked. Pairs that
no user clicked both of have a cosine too, by what links them.

Cremonesi et al. 2010, "Performance of recommender algorithms on top-N recommendation tasks";
Halko et al. 2011, "Finding structure with randomness".
"""

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from features.columns import covisitation, history_ops
from features.store.store import Split, Store

COLUMNS = history_ops.columns("ui_click_cosine")
WIDTH = 32  # of the vectors
ITERATIONS = 4  # of the power method


def fit(store: Store, rows: np.ndarray) -> np.ndarray:
    """Unit vectors (I, WIDTH) float32 of the items, from the train rows `rows`."""
    clicked = covisitation.clicks(store, rows).astype(np.float32)
    spread = 1 / np.sqrt(np.maximum(clicked.sum(0), 1))
    scaled = sparse.csr_array(clicked @ sparse.diags_array(spread.astype(np.float32)))
    width = min(WIDTH, *scaled.shape)
    _, size, items = randomized_svd(scaled, width, n_iter=ITERATIONS, random_state=0)
    vectors = items.T * size
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def describe(store: Store, split: Split, fitted: np.ndarray) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        ours = np.repeat(target, np.diff(starts))
        cosine = np.einsum("td,td->t", fitted[entries], fitted[ours])
        parts.append(history_ops.summary("ui_click_cosine", cosine, starts))
    return history_ops.table(parts, COLUMNS)
