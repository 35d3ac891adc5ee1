"""Cosine of the target's content with the history's: largest, mean, and of the last item.

Null for an empty history; 0 against an item whose content vector is zero.
"""

import numpy as np
import polars as pl

from features import ragged
from features.store import Split, Store

COLUMNS = {
    "ui_content_max": pl.Float32,
    "ui_content_mean": pl.Float32,
    "ui_content_last": pl.Float32,
}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    length = np.linalg.norm(store.items.content, axis=1, keepdims=True)
    unit = store.items.content / np.where(length > 0, length, 1)
    parts = []
    for target, entries, starts in ragged.blocks(store, split):
        count = np.diff(starts)
        cosine = np.einsum("td,td->t", unit[entries], unit[np.repeat(target, count)])
        mean = ragged.reduce(np.add, cosine, starts) / np.maximum(count, 1)
        largest = ragged.reduce(np.maximum, cosine, starts)
        columns = (largest, mean, ragged.last(cosine, starts))
        parts.append(pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)), schema=COLUMNS))
    return pl.concat(parts).fill_nan(None)
