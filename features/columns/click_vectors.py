"""Cosine of target and history items by what is clicked around them: item vectors from sequences.

    n_ab = Σ 1 / d over the clicks of a and b by one user, d <= 8 clicks apart
    M_ab = max(0, ln(n_ab / (n_a p_b)))     n_a = Σ_b n_ab;  p_b = n_b^0.75 / Σ_c n_c^0.75
    M ≈ U S V^T;  item a: the first 16, 32, 64 or 128 entries of row a of U sqrt(S)

Clicks are those of click_sequences.py. For each width the cosine's largest, mean, last and recent
over the history; null if it is empty, 0 for an item without neighbours. Narrow vectors know what is
clicked at one time, wide ones what goes together.
Two items that nobody clicked both of have a cosine too, through the items around them.

Levy & Goldberg 2014, "Neural word embedding as implicit matrix factorization": what word2vec of
sequences of items (Barkan & Koenigstein 2016, "Item2vec") learns by sampling; weights by distance
and the power 0.75 are word2vec's. Halko et al. 2011, "Finding structure with randomness".
"""

from itertools import pairwise

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from features.columns import history_ops
from features.columns.click_sequences import sequences
from features.store.store import Split, Store

WIDTHS = (16, 32, 64, 128)
WINDOW = 8  # clicks
POWER = 0.75  # of the frequencies that pairs are compared with
ITERATIONS = 4  # power iterations of the randomised SVD
COLUMNS = {
    name: dtype
    for width in WIDTHS
    for name, dtype in history_ops.columns(f"ui_click_cosine{width}").items()
}


def fit(store: Store, rows: np.ndarray) -> np.ndarray:
    """Vectors (I, 128) float32 of the items, or as wide as there are items."""
    matched = information(neighbours(store, rows))
    width = min(WIDTHS[-1], len(store.items))
    items, size, _ = randomized_svd(matched, width, n_iter=ITERATIONS, random_state=0)
    vectors = items * np.sqrt(size)
    vectors[np.diff(matched.indptr) == 0] = 0  # not rounding errors, which have a direction too
    return vectors.astype(np.float32)


def describe(store: Store, split: Split, fitted: np.ndarray) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    bounds = [(a, b) for a, b in pairwise((0, *WIDTHS)) if a < fitted.shape[1]]
    length = np.sqrt(_up_to(np.square(fitted), bounds))
    unit = 1 / np.where(length > 0, length, np.inf)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        targets = np.repeat(target, np.diff(starts))
        cosine = _up_to(fitted[entries] * fitted[targets], bounds) * unit[entries] * unit[targets]
        part: dict[str, np.ndarray] = {}
        for i, width in enumerate(WIDTHS):  # of few items, the widest vectors there are
            values = cosine[:, min(i, len(bounds) - 1)]
            part |= history_ops.summary(f"ui_click_cosine{width}", values, starts)
        parts.append(part)
    return history_ops.table(parts, COLUMNS)


def neighbours(store: Store, rows: np.ndarray) -> sparse.csr_array:
    """n (I, I) float32, symmetric."""
    item, user = sequences(store, rows)
    shape = (len(store.items), len(store.items))
    total = sparse.csr_array(shape, dtype=np.float32)
    for d in range(1, WINDOW + 1):
        a, b = (side[user[d:] == user[:-d]] for side in (item[:-d], item[d:]))
        total += sparse.csr_array((np.full(len(a), 1 / d, np.float32), (a, b)), shape)
    return sparse.csr_array(total + total.T)


def information(together: sparse.csr_array) -> sparse.csr_array:
    """M (I, I) float32 of n."""
    n = together.sum(1, dtype=np.float64)
    p = n**POWER / max((n**POWER).sum(), 1e-12)
    pairs = together.tocoo()
    a, b = pairs.coords
    value = np.log(pairs.data / (n[a] * p[b]))
    positive = value > 0
    coords = a[positive], b[positive]
    return sparse.csr_array((value[positive].astype(np.float32), coords), together.shape)


def _up_to(terms: np.ndarray, bounds: list[tuple[int, int]]) -> np.ndarray:
    """Sums (t, len(bounds)) of the first columns of `terms` (t, D), up to each bound."""
    return np.cumsum([terms[:, a:b].sum(1) for a, b in bounds], axis=0).T
