"""How popular an item is in the histories, which are clicks too but hold no row's label.

    i_clicked           ln(1 + n), n: entries of the item in the store's distinct histories
    i_clicked_per_show  ln((1 + n) / (1 + rows of train, valid and test with the item as target))

Items that users like are in histories more often than they are shown: see cv/leak_statistics.py.
"""

import numpy as np
import polars as pl

from features.store.schema import SPLITS
from features.store.store import Split, Store

COLUMNS = {"i_clicked": pl.Float32, "i_clicked_per_show": pl.Float32}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    n_items, item = len(store.items), np.asarray(split.item)
    clicked = np.log1p(np.bincount(store.values, minlength=n_items))
    shown = sum(np.bincount(getattr(store, name).item, minlength=n_items) for name in SPLITS)
    columns = {
        "i_clicked": clicked[item],
        "i_clicked_per_show": (clicked - np.log1p(shown))[item],
    }
    return pl.DataFrame(columns, schema=COLUMNS)
