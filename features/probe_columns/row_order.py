"""The position of a row in its file, which should not predict the label.

r_place        row number / number of rows, in [0, 1)
r_place_mod_k  row number modulo k: finds rows that take turns
r_turn         number of the same user's rows before it
r_since        rows since the same user's previous row; null for the first
r_until        rows until the same user's next row; null for the last
"""

import numpy as np
import polars as pl

from features.store.store import Split, Store

DIVISORS = (2, 3, 4, 5, 8)
COLUMNS = {"r_place": pl.Float64, **{f"r_place_mod_{k}": pl.Int32 for k in DIVISORS}}
COLUMNS |= {"r_turn": pl.Int32, "r_since": pl.Int32, "r_until": pl.Int32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS. `split` must be a whole split."""
    place, of_user = pl.int_range(pl.len()), pl.int_range(pl.len()).over("user")
    before, after = pl.col("place").shift(1), pl.col("place").shift(-1)
    return (
        pl.DataFrame({"user": np.asarray(split.user)})
        .with_columns(place=place)
        .select(
            r_place=place / pl.len(),
            **{f"r_place_mod_{k}": pl.col("place") % k for k in DIVISORS},
            r_turn=of_user,
            r_since=(pl.col("place") - before).over("user"),
            r_until=(after - pl.col("place")).over("user"),
        )
        .cast(COLUMNS)
    )
