"""How the target stands beside the history's items: as popular, as often clicked, as late?

Three numbers of every item, from the rows of other folds and their users' clicks (covisitation.py):

    rate   click rate, smoothed: i_rate of item_popularity.py
    users  ln(1 + users who clicked it)
    late   share of those users who clicked it as the target of a row, so after their history;
           smoothed alike. Items come and go: it is high for new ones, and a user's clicks are
           of one time

Of each the history's mean, last and recent (ragged.py), and the gap, target less recent. Null for
an empty history.
"""

import numpy as np
import polars as pl

from features.columns import covisitation, history_ops, item_popularity
from features.store.store import Split, Store

NUMBERS = ("rate", "users", "late")
OF_HISTORY = ("mean", "last", "recent")
COLUMNS = dict.fromkeys(("i_users", "i_late"), pl.Float32) | {
    column: pl.Float32
    for name in NUMBERS
    for column in (*(f"h_{name}_{how}" for how in OF_HISTORY), f"ui_{name}_gap")
}


def fit(store: Store, rows: np.ndarray) -> dict[str, np.ndarray]:
    """NUMBERS (I,) float32 of every item, from the train rows `rows`."""
    users = np.asarray(covisitation.clicks(store, rows).sum(0)).ravel()
    positive = rows[np.asarray(store.train.label[rows]) == 1]
    targets = np.bincount(store.train.item[positive], minlength=len(store.items))
    targets = np.minimum(targets, users)  # a user who clicks an item twice counts once
    mean, strength = item_popularity.prior(users, targets)
    found = (
        item_popularity.fit(store, rows)["i_rate"],
        np.log1p(users),
        (targets + strength * mean) / (users + strength),
    )
    return {name: of.astype(np.float32) for name, of in zip(NUMBERS, found, strict=True)}


def describe(store: Store, split: Split, fitted: dict[str, np.ndarray]) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        part = {"i_users": fitted["users"][target], "i_late": fitted["late"][target]}
        for name, of in fitted.items():
            found = history_ops.summary(f"h_{name}", of[entries], starts)
            part |= {f"h_{name}_{how}": found[f"h_{name}_{how}"] for how in OF_HISTORY}
            part[f"ui_{name}_gap"] = of[target] - found[f"h_{name}_recent"]
        parts.append(part)
    return history_ops.table(parts, COLUMNS)
