"""How well LightGBM predicts a label from some columns, on users that it did not see.

For probes, not for scores: few shallow trees on one thread, the same for the same input. Ke et al.
2017, "LightGBM: A highly efficient gradient boosting decision tree", NeurIPS.
"""

import lightgbm
import numpy as np
import polars as pl

TREES = 60
SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "num_threads": 1,
    "verbosity": -1,
}
ADDITIVE = {
    "num_leaves": 2,
    "max_bin": 15,
}  # one column per tree, and too few bins to tell items apart


def out_of_fold(
    columns: pl.DataFrame, label: np.ndarray, fold: np.ndarray, **changed: object
) -> tuple[np.ndarray, dict[str, float]]:
    """Each row's probability (N,) float64, by trees fitted on the other folds.

    columns  (N, K) numbers; null is missing
    label    (N,) 0 and 1; fold (N,), each user in one
    changed  settings of LightGBM that differ from SETTINGS
    Also returns each column's share of the trees' gain, largest first.
    """
    matrix, gain = _matrix(columns), np.zeros(columns.width)
    probability = np.empty(len(label))
    for k in np.unique(fold):
        held_out = fold == k
        trees = _fit(matrix[~held_out], label[~held_out], changed)
        probability[held_out] = trees.predict(matrix[held_out])
        gain += trees.feature_importance("gain")
    share = gain / max(gain.sum(), 1e-300)
    order = np.argsort(-share, kind="stable")
    return probability, {columns.columns[i]: float(share[i]) for i in order}


def fit_predict(
    columns: pl.DataFrame, label: np.ndarray, others: pl.DataFrame, **changed: object
) -> np.ndarray:
    """The probability (M,) of the rows `others` (M, K), by trees fitted on all of `columns`."""
    return np.asarray(_fit(_matrix(columns), label, changed).predict(_matrix(others)))


def _matrix(columns: pl.DataFrame) -> np.ndarray:
    return columns.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _fit(matrix: np.ndarray, label: np.ndarray, changed: dict[str, object]) -> lightgbm.Booster:
    data = lightgbm.Dataset(matrix, label.astype(np.float32))
    return lightgbm.train(SETTINGS | changed, data, TREES)
