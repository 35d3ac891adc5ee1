"""Whether a row's level is another than its item's: r_likes_mismatch, r_views_mismatch, 0 or 1.

An item's level is that of the item table or, where the table has none for it, the level that most
rows of train, valid and test show with it (the lower of two that are equally frequent).
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
    """The level (I,) of every item, as the module docstring has it."""
    counts = np.zeros(len(store.items) * N_LEVELS, np.int64)
    for split in (getattr(store, name) for name in SPLITS):
        cell = np.asarray(split.item, np.int64) * N_LEVELS + getattr(split, level)
        counts += np.bincount(cell, minlength=len(counts))
    usual, given = counts.reshape(-1, N_LEVELS).argmax(axis=1), getattr(store.items, level)
    return usual if given is None else np.where(given > 0, given, usual)
