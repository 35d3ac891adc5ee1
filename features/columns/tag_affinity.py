"""How well the target's tags match those of the history; rare tags weigh more.

    cosine of (target, history item) = Σ_g w_g² / (|target| |item|) over the tags g they share,
    w_g = ln(items / items with tag g),  |item|² = Σ w_g² over its tags

Largest, mean, last and recent over the history; null if it is empty. An item without tags has
cosine 0. Sparck Jones 1972, "A statistical interpretation of term specificity".
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.store.store import Split, Store

COLUMNS = history_ops.columns("ui_tag_cosine")


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    tags = _distinct(np.asarray(store.items.tags))
    weight = _unit_weights(tags)
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        targets = np.repeat(target, np.diff(starts))
        shared = (
            tags[entries][:, :, None] == tags[targets][:, None, :]
        )  # (t, 5, 5); w is 0 at tag 0
        cosine = np.einsum("ta,tab,tb->t", weight[entries], shared, weight[targets], optimize=True)
        parts.append(history_ops.summary("ui_tag_cosine", cosine, starts))
    return history_ops.table(parts, COLUMNS)


def _distinct(tags: np.ndarray) -> np.ndarray:
    """`tags` (I, 5) with 0 in place of a tag that its row has further left already."""
    same = tags[:, :, None] == tags[:, None, :]
    return np.where(np.tril(same, -1).any(2), 0, tags)


def _unit_weights(tags: np.ndarray) -> np.ndarray:
    """Weights (I, 5) float32 of the tags; an item's squares sum to 1, or to 0 without tags."""
    n_items = np.maximum(np.bincount(tags.ravel()), 1)
    of_tag = np.log(max(len(tags), 2) / n_items)
    of_tag[0] = 0  # padding
    weight = of_tag[tags]
    length = np.linalg.norm(weight, axis=1, keepdims=True)
    return (weight / np.where(length > 0, length, 1)).astype(np.float32)
