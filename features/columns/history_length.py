"""How many items the user has seen: h_length."""

import numpy as np
import polars as pl

from features.store.store import Split, Store

COLUMNS = {"h_length": pl.Int32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    length = np.diff(store.offsets)[np.asarray(split.history)]
    return pl.DataFrame({"h_length": length}, schema=COLUMNS)
