"""How much traffic an item gets, seen from the training rows of the other folds.

i_shows = rows with the item as target; i_popularity = ln(1 + i_shows). Null if never shown.
"""

import polars as pl

KEY = "item_id"
COLUMNS = {"i_shows": pl.UInt32, "i_popularity": pl.Float32}


def fit(train: pl.DataFrame) -> pl.DataFrame:
    """One row per item: KEY and COLUMNS. Pass training rows only."""
    return train.group_by(KEY).agg(
        i_shows=pl.len().cast(pl.UInt32),
        i_popularity=pl.len().log1p().cast(pl.Float32),
    )


def join(rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Append COLUMNS to `rows`: same rows, same order."""
    return rows.join(table, on=KEY, how="left", validate="m:1", maintain_order="left")
