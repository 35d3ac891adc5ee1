"""Violations of the contract of a feature (features/table.py), each with a sentence that names it.

To see what a feature reads, change the labels or remove the rows of a fold: a column that changes
has read them.
"""

import inspect
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl

from features import table
from features.store.schema import SPLITS
from features.store.store import Split, Store

NOT_FEATURES = (
    "__init__",
    "click_sequences",
    "given_histories",
    "history_ops",
)  # files of features/columns that add no columns


def unlisted(folder: Path, features: tuple[ModuleType, ...]) -> list[str]:
    """The files of `folder` that are no feature of the table."""
    listed = {file_of(feature) for feature in features}
    return [
        f"features/columns/{path.name} is not listed: add it to FEATURES in features/table.py"
        for path in sorted(folder.glob("*.py"))
        if path.stem not in (*NOT_FEATURES, *listed)
    ]


def doubled(features: tuple[ModuleType, ...]) -> list[str]:
    """The columns that two features add."""
    owners: dict[str, list[str]] = {}
    for feature in features:
        for name in getattr(feature, "COLUMNS", {}):
            owners.setdefault(name, []).append(file_of(feature))
    return [
        f"column {name!r} is added by {' and '.join(files)}: rename one of them"
        for name, files in owners.items()
        if len(files) > 1
    ]


def problems(feature: ModuleType, store: Store, fold: np.ndarray) -> list[str]:
    """What is wrong with one feature; later checks need the earlier ones to pass."""
    for check in (declaration, tables, reading):
        texts = [
            f"features/columns/{file_of(feature)}.py: {text}"
            for text in check(feature, store, fold)
        ]
        if texts:
            return texts
    return []


def file_of(feature: ModuleType) -> str:
    return feature.__name__.rpartition(".")[2]


def declaration(feature: ModuleType, store: Store, fold: np.ndarray) -> Iterator[str]:
    """COLUMNS, describe and fit are there and have the right form."""
    columns = getattr(feature, "COLUMNS", None)
    if not isinstance(columns, dict) or not columns:
        yield "COLUMNS is missing: expected a dictionary {column name: polars dtype}"
        return
    for name, dtype in columns.items():
        if not name.startswith(table.PREFIXES):
            yield f"column {name!r} has none of the prefixes {', '.join(table.PREFIXES)}"
        if not dtype.is_numeric():
            yield f"column {name!r} is {dtype}: expected a numeric dtype"
    expected = ["store", "split", *["fitted"] * table.is_fitted(feature)]
    describe = getattr(feature, "describe", None)
    if describe is None:
        yield f"describe({', '.join(expected)}) is missing"
    elif len(inspect.signature(describe).parameters) != len(expected):
        yield f"describe{inspect.signature(describe)}: expected describe({', '.join(expected)})"


def tables(feature: ModuleType, store: Store, fold: np.ndarray) -> Iterator[str]:
    """describe returns COLUMNS for every row, without NaN or infinity."""
    fitted = [feature.fit(store, np.arange(len(store.train)))] if table.is_fitted(feature) else []
    for name in SPLITS:
        split = getattr(store, name)
        described = feature.describe(store, split, *fitted)
        if len(described) != len(split):
            yield f"describe returns {len(described)} rows for the {len(split)} rows of {name}"
        if described.columns != list(feature.COLUMNS):
            yield f"describe returns {described.columns}; COLUMNS has {list(feature.COLUMNS)}"
            return
        for column, dtype in feature.COLUMNS.items():
            if described[column].dtype != dtype:
                got = described[column].dtype
                yield f"describe returns {column} as {got}; COLUMNS has {dtype}: cast it"
            if not described[column].cast(pl.Float64).is_finite().all():
                yield f"{column} holds NaN or infinity in {name}: return null where it is unknown"


def reading(feature: ModuleType, store: Store, fold: np.ndarray) -> Iterator[str]:
    """The feature reads only the labels and rows that it may read."""
    before = table.build(store, fold, (feature,))
    for column in moved(
        feature, before, table.build(with_flipped_labels(store, "valid"), fold, (feature,))
    ):
        yield f"{column} moves with the labels of valid: read labels of the train rows `rows` only"
    train = "that it describes: fit on the labels of `rows` only"
    for k in np.unique(fold):
        held = np.flatnonzero(fold == k)
        flipped = table.build(with_flipped_labels(store, "train", held), fold, (feature,))
        rows = held if table.is_fitted(feature) else np.arange(len(fold))
        for column in moved(feature, before, flipped, "train", rows):
            yield f"{column} moves with the labels of the fold {train}"
            return
        others = np.flatnonzero(fold != k)
        valid = above(store.train.take(held), store.valid)
        apart = replace(store, train=store.train.take(others), valid=valid)
        without_fold = table.build(apart, np.full(len(others), -1, np.int8), (feature,))["valid"]
        for column in feature.COLUMNS:
            if not without_fold[column][: len(held)].equals(before["train"][column][held]):
                yield (
                    f"{column} of a fold changes when the fold's rows leave train: read the"
                    " described rows, the train rows `rows`, given histories and the item table"
                    " only"
                )
                return


def above(first: Split, second: Split) -> Split:
    """The rows of two splits with labels, one below the other."""
    names = [f.name for f in fields(Split) if getattr(first, f.name) is not None]
    return Split(**{n: np.concatenate((getattr(first, n), getattr(second, n))) for n in names})


def with_flipped_labels(store: Store, split: str, rows: np.ndarray | None = None) -> Store:
    """The store with 1 - label in a split, or in some of its rows."""
    part = getattr(store, split)
    label = np.array(part.label)
    chosen = slice(None) if rows is None else rows
    label[chosen] = 1 - label[chosen]
    return replace(store, **{split: replace(part, label=label)})


def moved(
    feature: ModuleType, before: dict, after: dict, only: str = "", rows: np.ndarray | None = None
) -> list[str]:
    """The columns that differ between two builds, in one split or in any."""
    return [
        column
        for column in feature.COLUMNS
        for name in ([only] if only else SPLITS)
        if not pick(before[name][column], rows).equals(pick(after[name][column], rows))
    ]


def pick(column: pl.Series, rows: np.ndarray | None) -> pl.Series:
    return column if rows is None else column[rows]
