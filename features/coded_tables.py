"""The tables of 30_features as networks read them: which rows have the borders of which fold."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from features import column_codes, table
from features.prefixes import Prefixes
from features.slices import places
from features.store.schema import SPLITS
from features.store.store import Store

ALL = -1  # the fold that holds out nothing


def coded(
    tables: Mapping[str, pl.DataFrame], fold: np.ndarray, official: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Each file of codes, its path in the folder of 30_features, and its array.

    tables    of features.table.build; in `official` mode valid and test have no others by fold
    fold      (N,) int8, outside which each train row is described
    official  whether valid and test are read as described by all rows, with borders of all train
              rows; else they are read once for each fold, with the borders of its train rows
    """
    train = tables["train"]
    codes = np.empty((len(train), len(train.columns) - len(table.KEYS)), np.uint8)
    borders = train_borders(train, fold)
    for k, of_fold in borders.items():
        rows = train.filter(pl.Series(fold == k))
        codes[fold == k] = column_codes.encode(table.values(rows), of_fold)
    yield column_codes.file_of("train", ALL), codes
    if official:
        borders = {ALL: column_codes.borders_of(table.values(train))}
    for k, of_fold in borders.items():
        for name in SPLITS[1:]:
            rows = tables[name]
            if k != ALL:
                rows = table.whole(rows, tables[table.of_fold(name, k)])
            yield column_codes.file_of(name, k), column_codes.encode(table.values(rows), of_fold)
    yield column_codes.BORDERS, np.stack(list(borders.values()))


def train_borders(train: pl.DataFrame, fold: np.ndarray) -> dict[int, np.ndarray]:
    """The borders (C, N_BORDERS) of the train rows of each fold, by fold; `fold` as in `coded`."""
    return {
        k: column_codes.borders_of(table.values(train.filter(pl.Series(fold == k))))
        for k in np.unique(fold).tolist()
    }


def coded_prefixes(
    store: Store, borders: Mapping[int, np.ndarray], fold: np.ndarray, prefixes: Prefixes
) -> np.ndarray:
    """The codes (N, C) uint8 of the rows of 25_prefixes, each as the train rows of its user.

    borders  of train_borders; `fold` as in `coded`. A prefix of a user of fold k is described by
             features that were fitted outside k, with the borders of k.
    """
    of_row = fold[prefixes.row]
    codes = np.empty((len(prefixes), len(table.names())), np.uint8)
    for k in np.unique(of_row).tolist():
        number, history = np.unique(prefixes.split.history[of_row == k], return_inverse=True)
        rows = replace(prefixes.split.take(of_row == k), history=history.astype(np.int32))
        place, offsets = places(prefixes.begin[number], prefixes.end[number])
        outside = np.flatnonzero((fold != k) | (fold < 0))
        described = table.of_rows(store, outside, rows, store.values[place], offsets)
        codes[of_row == k] = column_codes.encode(table.values(described), borders[k])
    return codes
