"""Cosine of target and history items by who clicked them: vectors of a truncated SVD.

    C_ui = 1 / sqrt(users of i) where user u clicked item i;  C ≈ U S V^T;  item i: row i of V S

Clicks are those of covisitation.py, of users of the other folds only. Largest, mean, last and
recent over the history; null if it is empty, 0 for an item that nobody clicked. Two items that no
user clicked both of have a cosine too, through the items that link them.

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
ITERATIONS = 4  # power iterations of the randomised SVD


def fit(store: Store, rows: np.ndarray) -> np.ndarray:
    """Unit vectors (I, WIDTH) float32 of the items, from the train rows `rows`."""
    clicked = covisitation.clicks(store, rows).astype(np.float32)
    scale = 1 / np.sqrt(np.maximum(clicked.sum(0), 1))
    scaled = sparse.csr_array(clicked @ sparse.diags_array(scale.astype(np.float32)))
    width = min(WIDTH, *scaled.shape)
    _, size, items = randomized_svd(scaled, width, n_iter=ITERATIONS, random_state=0)
    vectors = items.T * size
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def describe(store: Store, split: Split, fitted: np.ndarray) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        targets = np.repeat(target, np.diff(starts))
        cosine = np.einsum("td,td->t", fitted[entries], fitted[targets])
        parts.append(history_ops.summary("ui_click_cosine", cosine, starts))
    return history_ops.table(parts, COLUMNS)
