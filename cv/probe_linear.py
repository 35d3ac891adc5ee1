"""How well a vector of each item predicts the label of its rows, by ridge regression.

For items i with standardised vectors x_i (and 1), n_i rows and c_i clicks among the rows that a
regression is fitted on:

    w = (Σ n_i x_i x_iᵀ + RIDGE I)⁻¹ Σ c_i x_i          score of a row: w · x_item

Rows enter through n_i and c_i only, so that the cost depends on the number of items. Hoerl &
Kennard 1970, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12.
"""

import numpy as np

RIDGE = 100.0  # rows


def scores(
    vectors: np.ndarray,
    item: np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
    others: list[np.ndarray],
) -> list[np.ndarray]:
    """Scores of N rows, float64, fitted on the other folds; of other rows, fitted on all N.

    vectors (I, D) numbers; item (N,) ids below I; label (N,) 0 and 1; fold (N,) from 0; others: ids
    (M,) of other rows' items.
    """
    x = _standardised(vectors, np.bincount(item, minlength=len(vectors)))
    inside = np.empty(len(item))
    for k in np.unique(fold):
        held_out = fold == k
        inside[held_out] = _fitted(x, item[~held_out], label[~held_out])[item[held_out]]
    if not others:
        return [inside]
    of_item = _fitted(x, item, label)
    return [inside, *(of_item[other] for other in others)]


def _standardised(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1 over the rows, and a column of ones; constants become 0."""
    weight = rows / rows.sum()
    centred = vectors - weight @ vectors
    deviation = np.sqrt(weight @ np.square(centred))
    scaled = np.where(deviation > 1e-9, centred / np.maximum(deviation, 1e-9), 0.0)
    return np.column_stack([scaled, np.ones(len(vectors))])


def _fitted(x: np.ndarray, item: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The score of every item, (I,)."""
    rows = np.bincount(item, minlength=len(x))
    clicks = np.bincount(item, label, minlength=len(x))
    shown = rows > 0
    gram = (x[shown] * rows[shown, None]).T @ x[shown] + RIDGE * np.eye(x.shape[1])
    return x @ np.linalg.solve(gram, clicks @ x)
