"""Every feature of every row; what is fitted comes from other folds than the row's own."""

import numpy as np
import polars as pl

from features.columns import (
    click_vectors,
    content_similarity,
    covisitation,
    history_length,
    history_levels,
    item_popularity,
    item_versus_history,
    row_levels,
    tag_affinity,
    tag_overlap,
)
from features.store.store import Split, Store

OF_ROWS = (
    history_length,
    row_levels,
    history_levels,
    content_similarity,
    tag_overlap,
    tag_affinity,
)
FITTED = (item_popularity, item_versus_history, covisitation, click_vectors)
KEYS = ("row_id", "user_id", "item_id")


def build(store: Store, fold: np.ndarray) -> dict[str, pl.DataFrame]:
    """Tables of train, valid and test, in row order: KEYS, OF_ROWS, FITTED.

    fold (N,) int8, as 20_folds wrote it. A train row's fitted columns come from the train rows of
    the other folds; those of valid and test from all train rows. Fold -1 (official split) is never
    held out: all train rows are used.
    """
    held_out = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    parts = []
    for rows in held_out:
        others = np.flatnonzero(fold != fold[rows[0]]) if fold[rows[0]] >= 0 else rows
        (part,) = _fitted(store, others, (store.train.take(rows),))
        parts.append(part.with_columns(row_id=pl.Series(rows)))
    fitted = {"train": pl.concat(parts).sort("row_id").drop("row_id")}
    everything = np.arange(len(store.train))
    later = _fitted(store, everything, (store.valid, store.test))
    fitted |= dict(zip(("valid", "test"), later, strict=True))
    return {
        name: pl.concat([_of_rows(store, getattr(store, name)), table], how="horizontal")
        for name, table in fitted.items()
    }


def names() -> list[str]:
    """Every column but KEYS, in order."""
    return [name for module in (*OF_ROWS, *FITTED) for name in module.COLUMNS]


def _of_rows(store: Store, split: Split) -> pl.DataFrame:
    columns = (np.arange(len(split)), np.asarray(split.user), np.asarray(split.item))
    keys = pl.DataFrame(dict(zip(KEYS, columns, strict=True)))
    return pl.concat([keys, *(m.describe(store, split) for m in OF_ROWS)], how="horizontal")


def _fitted(store: Store, rows: np.ndarray, splits: tuple[Split, ...]) -> list[pl.DataFrame]:
    """FITTED on the train rows `rows`, one table for each of `splits`."""
    tables: list[list[pl.DataFrame]] = [[] for _ in splits]
    for module in FITTED:
        fitted = module.fit(store, rows)
        for split, parts in zip(splits, tables, strict=True):
            parts.append(module.describe(store, split, fitted))
    return [pl.concat(parts, how="horizontal") for parts in tables]
