"""Likes and views levels of the history's items, and of the target against them.

h_likes_mean, h_likes_last: of the items' likes levels; ui_likes_gap: the row's own level minus the
mean; the same for views. Null for an empty history, and in every row if the store's item table has
no levels.
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

LEVELS = ("likes", "views")
COLUMNS = {
    name: pl.Float32
    for level in LEVELS
    for name in (f"h_{level}_mean", f"h_{level}_last", f"ui_{level}_gap")
}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    columns = {name: np.full(len(split), np.nan, np.float32) for name in COLUMNS}
    for level in LEVELS:
        of_items = getattr(store.items, level)
        if of_items is None:
            continue
        parts = [
            history_ops.summary(f"h_{level}", of_items[entries].astype(np.float32), starts)
            for _, entries, starts in history_ops.blocks(store, split)
        ]
        for name in (f"h_{level}_mean", f"h_{level}_last"):
            columns[name] = np.concatenate([part[name] for part in parts])
        columns[f"ui_{level}_gap"] = getattr(split, level) - columns[f"h_{level}_mean"]
    return history_ops.table([columns], COLUMNS)
