"""The target against the history's items: its click rate, its popularity, its age.

Three numbers per item, from the rows of the other folds and their users' clicks (covisitation.py):

    rate   click rate, smoothed: i_rate of item_popularity.py
    users  ln(1 + users who clicked it)
    late   share of those users who clicked it as the target of a row, that is after their history;
           smoothed in the same way. It is high for new items, and the items that one user clicks
           are of about the same age

For each: the history's mean, last and recent (history_ops.py), and the gap, target minus recent.
Null for an empty history.
"""

import numpy as np
import polars as pl

from features.columns import covisitation, history_ops, item_popularity
from features.store.store import Split, Store

ITEM_NUMBERS = ("rate", "users", "late")
OF_HISTORY = ("mean", "last", "recent")
COLUMNS = dict.fromkeys(("i_users", "i_late"), pl.Float32) | {
    column: pl.Float32
    for name in ITEM_NUMBERS
    for column in (*(f"h_{name}_{summary}" for summary in OF_HISTORY), f"ui_{name}_gap")
}


def fit(store: Store, rows: np.ndarray) -> dict[str, np.ndarray]:
    """ITEM_NUMBERS (I,) float32 of every item, from the train rows `rows`."""
    users = np.asarray(covisitation.clicks(store, rows).sum(0)).ravel()
    positive = rows[np.asarray(store.train.label[rows]) == 1]
    targets = np.bincount(store.train.item[positive], minlength=len(store.items))
    targets = np.minimum(targets, users)  # a user who clicks an item twice counts once
    numbers = (
        item_popularity.fit(store, rows)["i_rate"],
        np.log1p(users),
        item_popularity.smoothed(users, targets),
    )
    return {name: of.astype(np.float32) for name, of in zip(ITEM_NUMBERS, numbers, strict=True)}


def describe(store: Store, split: Split, fitted: dict[str, np.ndarray]) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        part = {"i_users": fitted["users"][target], "i_late": fitted["late"][target]}
        for name, of in fitted.items():
            summaries = history_ops.summary(f"h_{name}", of[entries], starts)
            part |= {
                f"h_{name}_{summary}": summaries[f"h_{name}_{summary}"] for summary in OF_HISTORY
            }
            part[f"ui_{name}_gap"] = of[target] - summaries[f"h_{name}_recent"]
        parts.append(part)
    return history_ops.table(parts, COLUMNS)
