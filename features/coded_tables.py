"""The tables of 30_features as networks read them: which rows have the borders of which fold."""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from features import column_codes, table
from features.store.schema import SPLITS

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
    borders = {}
    for k in np.unique(fold).tolist():
        rows = train.filter(pl.Series(fold == k))
        borders[k] = column_codes.borders_of(table.values(rows))
        codes[fold == k] = column_codes.encode(table.values(rows), borders[k])
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
