"""A stacker: gradient-boosted trees over columns of any kind; its model is LightGBM's text.

How many trees: those that score best on a fifth of the users, held out of the rows at hand; then
all rows are fitted with that many. Nothing else is chosen, and no row outside is seen. Equal rows
give equal text, whatever the number of threads.

Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS.
"""

import lightgbm
import numpy as np

from cv.folds import grouped_folds

SETTINGS = {
    "objective": "binary",
    "metric": "auc",
    "learning_rate": 0.15,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MOST_TREES, PATIENCE = 300, 15
MANY = 100_000  # rows; with fewer, threads wait for each other longer than they work
PARTS = 5  # of the users; one of them says how many trees


def fit(columns: np.ndarray, names: list[str], label: np.ndarray, user: np.ndarray) -> str:
    """The model's text.

    columns (N, C) float32, NaN where unknown; names of the C columns; label (N,) 0 and 1;
    user (N,), whose rows stay together where the number of trees is chosen.
    Raises InputError for fewer than PARTS users.
    """
    settings = SETTINGS | {"num_threads": _threads(label)}
    held = grouped_folds(user, label, PARTS, seed=0) == 0
    inside = lightgbm.Dataset(columns[~held], label[~held], feature_name=names)
    judge = lightgbm.Dataset(columns[held], label[held], reference=inside)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    tried = lightgbm.train(settings, inside, MOST_TREES, [judge], callbacks=[stop])
    everything = lightgbm.Dataset(columns, label, feature_name=names)
    return lightgbm.train(settings, everything, tried.best_iteration).model_to_string()


def predict(model: str, columns: np.ndarray) -> np.ndarray:
    """Logits (n,) float64 of `columns` (n, C)."""
    booster = lightgbm.Booster(model_str=model)
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=_threads(columns)))


def _threads(rows: np.ndarray) -> int:
    return 1 if len(rows) < MANY else 0  # 0: one a core


def importances(model: str) -> dict[str, float]:
    """How much each column lowered the training loss, largest first."""
    booster = lightgbm.Booster(model_str=model)
    gain = booster.feature_importance("gain").tolist()
    pairs = zip(booster.feature_name(), gain, strict=True)
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
