"""The user id as a number, which should not predict the label: u_number, u_number_mod_k."""

import numpy as np
import polars as pl

from features.store.store import Split, Store

DIVISORS = (2, 3, 4, 5, 10)
COLUMNS = {"u_number": pl.Int32, **{f"u_number_mod_{k}": pl.Int32 for k in DIVISORS}}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    user = np.asarray(split.user)
    columns = {"u_number": user, **{f"u_number_mod_{k}": user % k for k in DIVISORS}}
    return pl.DataFrame(columns, schema=COLUMNS)
