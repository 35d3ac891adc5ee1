"""Cosine of the target's content with that of history items: largest, mean, last and recent.

Null for an empty history; 0 for an item whose content vector is all zeros.
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = history_ops.columns("ui_content")


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    length = np.linalg.norm(store.items.content, axis=1, keepdims=True)
    unit = store.items.content / np.where(length > 0, length, 1)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        cosine = np.einsum("td,td->t", unit[entries], unit[np.repeat(target, np.diff(starts))])
        parts.append(history_ops.summary("ui_content", cosine, starts))
    return history_ops.table(parts, COLUMNS)
