"""The user id as a number, which should not predict the label: u_number."""

import numpy as np
import polars as pl

from features.store.store import Split, Store

COLUMNS = {"u_number": pl.Int32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    return pl.DataFrame({"u_number": np.asarray(split.user)}, schema=COLUMNS)
