"""Whether another item of the row's history has the target's content: ui_near_duplicate, 0 or 1.

Another item has it if the cosine of the two content vectors is at least COSINE. Items whose content
is all zeros have no near-duplicate.
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = {"ui_near_duplicate": pl.UInt8}
COSINE = 0.999


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    length = np.linalg.norm(store.items.content, axis=1, keepdims=True)
    unit = store.items.content / np.where(length > 0, length, 1)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        row = np.repeat(np.arange(len(target)), np.diff(starts))
        cosine = np.einsum("td,td->t", unit[entries], unit[target[row]])
        same = (cosine >= COSINE) & (entries != target[row])
        parts.append(np.bincount(row, same, minlength=len(target)) > 0)
    return pl.DataFrame({"ui_near_duplicate": np.concatenate(parts)}, schema=COLUMNS)
