"""Whether the target is in the row's own history: ui_in_history, 0 or 1."""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = {"ui_in_history": pl.UInt8}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        row = np.repeat(np.arange(len(target)), np.diff(starts))
        parts.append(np.bincount(row, entries == target[row], minlength=len(target)) > 0)
    return pl.DataFrame({"ui_in_history": np.concatenate(parts)}, schema=COLUMNS)
