"""In what order the target's tags stand, which should not tell the label.

    i_tags            number of tags
    i_tag_descents    of the neighbouring tags, those whose second is the smaller one
    i_first_tag_rank  how many of the item's tags are smaller than its first one

Tag 0 is padding and stands nowhere.
"""

import numpy as np
import polars as pl

from features.store.store import Split, Store

COLUMNS = {"i_tags": pl.Int32, "i_tag_descents": pl.Int32, "i_first_tag_rank": pl.Int32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    tags = np.asarray(store.items.tags)
    real = tags > 0
    tags = np.take_along_axis(tags, np.argsort(~real, axis=1, kind="stable"), axis=1)
    real, first = tags > 0, tags[:, :1]
    descents = ((tags[:, 1:] < tags[:, :-1]) & real[:, 1:]).sum(1)
    rank = ((tags < first) & real).sum(1)
    item = np.asarray(split.item)
    columns = (real.sum(1)[item], descents[item], rank[item])
    return pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)), schema=COLUMNS)
