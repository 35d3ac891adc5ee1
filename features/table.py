"""The table of features: every column of every row. How to add a feature, and what it may read.

A feature is one file in features/columns/ and one entry in FEATURES below. Its module has

    COLUMNS                         {name: polars dtype} of the columns that it adds
    describe(store, split)          -> DataFrame with COLUMNS, one row for each row of `split`

and, if it learns something from train rows,

    fit(store, rows)                -> anything; rows (n,) int64 are the train rows that it may read
    describe(store, split, fitted)  -> as above; `fitted` is what `fit` returned

Names   unique over all features; the prefix says what a column describes: i_ an item, u_ a user,
        ui_ a user and an item, h_ a history, r_ the row itself
Dtypes  numeric, exactly as COLUMNS has them; the stacker reads every column as float32
Nulls   null where a value is unknown (an empty history, say); never NaN or infinity
Order   rows as in `split`; COLUMNS in their own order

What may be read:

    describe  of the rows themselves: user, item, likes, views and history; the item table
    fit       the same and the labels, of the train rows `rows` only; the item table

              of all other users of any split, what given_histories.py allows

No other row, no label of the rows that are described. `rows` are the train rows of the other folds
where train rows are described; for valid and test, all train rows, and those outside each fold.
Histories of other users are read without their targets: where a user has several rows, one row's
history may hold the target of another.

tests/features/test_table.py checks all this for every feature, and names what is wrong. A column is
compared with its definition, written as a loop, in tests/features/columns/test_columns.py.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import polars as pl

from features.columns import (
    click_vectors,
    content_similarity,
    covisitation,
    history_length,
    history_levels,
    item_popularity,
    item_time,
    item_versus_history,
    row_levels,
    tag_affinity,
    tag_overlap,
)
from features.store.schema import SPLITS
from features.store.store import Split, Store

FEATURES = (
    history_length,
    row_levels,
    history_levels,
    content_similarity,
    tag_overlap,
    tag_affinity,
    item_popularity,
    item_versus_history,
    covisitation,
    click_vectors,
    item_time,
)
KEYS = ("row_id", "user_id", "item_id")
PREFIXES = ("i_", "u_", "ui_", "h_", "r_")


def build(
    store: Store,
    fold: np.ndarray,
    features: tuple[ModuleType, ...] = FEATURES,
    official: bool = False,
) -> dict[str, pl.DataFrame]:
    """The tables of train, valid and test, in row order: KEYS, then the columns in `names` order.

    fold (N,) int8, as 20_folds wrote it. Fold -1 (official split) is never held out: its rows are
    described by features that were fitted on all train rows.

    Beside valid and test, for every fold k from 0, `of_fold(name, k)`: KEYS, then the fitted
    columns, fitted on the train rows outside k as those of the train rows of k are. Not in
    `official` mode, where all rows train and `fold` is there to describe the train rows alone.
    """
    parts = {name: [_keys(getattr(store, name))] for name in SPLITS}
    held = [] if official else np.unique(fold[fold >= 0]).tolist()
    for name, k in itertools.product(SPLITS[1:], held):
        parts[of_fold(name, k)] = parts[name][:1]
    for feature in _ordered(features):
        for name, columns in _describe_splits(store, fold, feature, held).items():
            parts[name].append(columns)
    return {name: pl.concat(tables, how="horizontal") for name, tables in parts.items()}


def by_fold(
    store: Store,
    fold: np.ndarray,
    rows: Split,
    values: np.ndarray,
    offsets: np.ndarray,
    features: tuple[ModuleType, ...] = FEATURES,
) -> Iterator[pl.DataFrame]:
    """For every fold k: KEYS and all columns of any `rows`, fitted outside k; -1 holds out nothing.

    The histories of `rows` are `values` and `offsets`, as in a store; their items are the store's.
    For rows of valid and test these are the columns of `build`, and those of `of_fold` in place.
    """
    described = replace(store, values=values, offsets=offsets)
    ordered = _ordered(features)
    fixed = [f.describe(described, rows) for f in ordered if not is_fitted(f)]
    for k in np.unique(fold):
        outside = np.flatnonzero((fold != k) | (fold < 0))
        fitted = (
            f.describe(described, rows, f.fit(store, outside)) for f in ordered if is_fitted(f)
        )
        yield pl.concat([_keys(rows), *fixed, *fitted], how="horizontal")


def of_rows(
    store: Store,
    outside: np.ndarray,
    rows: Split,
    values: np.ndarray,
    offsets: np.ndarray,
    features: tuple[ModuleType, ...] = FEATURES,
) -> pl.DataFrame:
    """KEYS and all columns of `rows`, as in `by_fold`, fitted on the train rows `outside` (n,).

    The targets of `rows` may stand in given histories of their users: those are not read.
    """
    others = {
        name: split.take(~np.isin(split.user, rows.user))
        for name, split in (("valid", store.valid), ("test", store.test))
    }
    store = replace(store, train=store.train.take(outside), **others)
    outside = np.arange(len(outside))
    described = replace(store, values=values, offsets=offsets)
    columns = (
        f.describe(described, rows, *([f.fit(store, outside)] if is_fitted(f) else []))
        for f in _ordered(features)
    )
    return pl.concat([_keys(rows), *columns], how="horizontal")


def of_fold(name: str, k: int) -> str:
    """The name of the table of valid or test whose columns are fitted outside fold `k`."""
    return f"{name}-fold{k}"


def names(features: tuple[ModuleType, ...] = FEATURES) -> list[str]:
    """Every column but KEYS, in order."""
    return [name for feature in _ordered(features) for name in feature.COLUMNS]


def whole(rows: pl.DataFrame, of_fold: pl.DataFrame) -> pl.DataFrame:
    """The table of valid or test, with its columns of `of_fold` in place of those by all rows."""
    return rows.with_columns(of_fold.drop(KEYS))


def values(rows: pl.DataFrame) -> Iterator[np.ndarray]:
    """Each column but KEYS: (N,) float64, NaN where it is null."""
    return (c.cast(pl.Float64).to_numpy() for c in rows.drop(KEYS).get_columns())


def is_fitted(feature: ModuleType) -> bool:
    return hasattr(feature, "fit")


def _ordered(features: tuple[ModuleType, ...]) -> list[ModuleType]:
    return sorted(features, key=is_fitted)  # stable: unfitted features first


def _keys(split: Split) -> pl.DataFrame:
    columns = (np.arange(len(split)), np.asarray(split.user), np.asarray(split.item))
    return pl.DataFrame(dict(zip(KEYS, columns, strict=True)))


def _describe_splits(
    store: Store, fold: np.ndarray, feature: ModuleType, held: list[int]
) -> dict[str, pl.DataFrame]:
    """One feature's COLUMNS for the rows of every split; valid and test also by each of `held`."""
    if not is_fitted(feature):
        return {name: feature.describe(store, getattr(store, name)) for name in SPLITS}
    all_rows = np.arange(len(store.train))
    fitted, others = feature.fit(store, all_rows), SPLITS[1:]
    tables = {name: feature.describe(store, getattr(store, name), fitted) for name in others}
    parts = []
    for k in np.unique(fold):
        held_out = np.flatnonzero(fold == k)
        if k >= 0:
            fitted = feature.fit(store, np.flatnonzero(fold != k))
            for name in others if k in held else ():
                split = getattr(store, name)
                tables[of_fold(name, k)] = feature.describe(store, split, fitted)
        part = feature.describe(store, store.train.take(held_out), fitted)
        parts.append(part.with_columns(row_id=pl.Series(held_out)))
    return {"train": pl.concat(parts).sort("row_id").drop("row_id"), **tables}
