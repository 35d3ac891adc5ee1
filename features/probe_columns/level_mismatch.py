"""Whether a row's level differs from its item's: r_likes_mismatch, r_views_mismatch, 0 or 1.

An item's level is that of the item table. If the table has none for it, it is the commonest level
of the item's rows in train, valid and test (the lower of two that are equally common).
"""

import numpy as np
import polars as pl

from features.store.schema import N_LEVELS, SPLITS
from features.store.store import Split, Store

LEVELS = ("likes", "views")
COLUMNS = {f"r_{name}_mismatch": pl.UInt8 for name in LEVELS}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    columns = {
        f"r_{name}_mismatch": getattr(split, name) != expected(store, name)[split.item]
        for name in LEVELS
    }
    return pl.DataFrame(columns, schema=COLUMNS)


def expected(store: Store, level: str) -> np.ndarray:
    """The level (I,) of every item, as the module docstring defines it."""
    counts = np.zeros(len(store.items) * N_LEVELS, np.int64)
    for split in (getattr(store, name) for name in SPLITS):
        cell = np.asarray(split.item, np.int64) * N_LEVELS + getattr(split, level)
        counts += np.bincount(cell, minlength=len(counts))
    usual, listed = counts.reshape(-1, N_LEVELS).argmax(axis=1), getattr(store.items, level)
    return usual if listed is None else np.where(listed > 0, listed, usual)
