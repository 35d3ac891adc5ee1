"""Which history items share a tag with the target.

    ui_tag_items  share of history items with at least one tag of the target
    ui_tag_last   1 if the last history item has one, else 0

Null for an empty history; tag 0 is padding and matches nothing.
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = {"ui_tag_items": pl.Float32, "ui_tag_last": pl.Float32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    tags = np.asarray(store.items.tags)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        count = np.diff(starts)
        entry_tags, target_tags = tags[entries], tags[np.repeat(target, count)]  # (t, 5) each
        shared = (entry_tags[:, :, None] == target_tags[:, None, :]) & (entry_tags[:, :, None] > 0)
        match = shared.any((1, 2)).astype(np.float32)
        share = history_ops.reduce(np.add, match, starts) / np.maximum(count, 1)
        columns = (share, history_ops.last(match, starts))
        parts.append(pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)), schema=COLUMNS))
    return pl.concat(parts).fill_nan(None)
