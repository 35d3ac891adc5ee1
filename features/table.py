"""Every feature of every row; what is fitted comes from other folds than the row's own."""

import numpy as np
import polars as pl

from features import (
    content_similarity,
    history_length,
    item_popularity,
    row_levels,
    tag_overlap,
)
from features.store import Split, Store

OF_ROWS = (history_length, row_levels, content_similarity, tag_overlap)
FITTED = (item_popularity,)


def build(store: Store, fold: np.ndarray) -> dict[str, pl.DataFrame]:
    """Tables of train, valid and test, in row order; `fold` (N,) int8 as 20_folds wrote it.

    A train row's fitted columns come from the train rows of the other folds; those of valid and
    test from all train rows. Fold -1 (official split) is never held out: all train rows are used.
    """
    described = {name: describe(store, name) for name in ("train", "valid", "test")}
    train = described["train"].with_columns(fold=pl.Series(fold))
    held_out = [
        _joined(train.filter(pl.col("fold") == k), train.filter((pl.col("fold") != k) | (k < 0)))
        for k in sorted(np.unique(fold))
    ]
    tables = {"train": pl.concat(held_out).sort("row_id").drop("fold", "label")}
    for name in ("valid", "test"):
        tables[name] = _joined(described[name], train).drop("label", strict=False)
    return tables


def describe(store: Store, name: str) -> pl.DataFrame:
    """Keys and unfitted columns of a split: row_id, user_id, item_id (and label), then OF_ROWS."""
    split: Split = getattr(store, name)
    keys = {
        "row_id": np.arange(len(split.item)),
        "user_id": np.asarray(split.user),
        "item_id": np.asarray(split.item),
    }
    if split.label is not None:
        keys["label"] = np.asarray(split.label)
    parts = [pl.DataFrame(keys), *(module.describe(store, split) for module in OF_ROWS)]
    return pl.concat(parts, how="horizontal")


def _joined(rows: pl.DataFrame, train: pl.DataFrame) -> pl.DataFrame:
    for module in FITTED:
        rows = module.join(rows, module.fit(train))
    return rows
