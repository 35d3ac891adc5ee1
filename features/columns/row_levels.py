"""The row's own likes and views level, 0..10: r_likes, r_views."""

import numpy as np
import polars as pl

from features.store.store import Split, Store

COLUMNS = {"r_likes": pl.UInt8, "r_views": pl.UInt8}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    columns = {"r_likes": np.asarray(split.likes), "r_views": np.asarray(split.views)}
    return pl.DataFrame(columns, schema=COLUMNS)
