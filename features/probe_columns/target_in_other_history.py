"""Whether the target is in another history of its user, and not in its own: 0 or 1.

ui_in_other_history   the user's histories are those of its rows in train, valid and test
"""

import numpy as np
import polars as pl

from features.columns import history_ops
from features.probe_columns import target_in_history
from features.store.schema import SPLITS
from features.store.store import Split, Store

COLUMNS = {"ui_in_other_history": pl.UInt8}


def describe(store: Store, split: Split) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    pair = np.unique(np.concatenate([_pairs(getattr(store, name), split) for name in SPLITS]))
    user, history = pair >> 32, pair & (2**32 - 1)
    entries, starts = history_ops.histories(store, history)
    seen = np.repeat(user, np.diff(starts)) << 32 | entries
    shown = np.asarray(split.user, np.int64) << 32 | np.asarray(split.item, np.int64)
    own = target_in_history.describe(store, split)["ui_in_history"].to_numpy() > 0
    columns = {"ui_in_other_history": np.isin(shown, seen) & ~own}
    return pl.DataFrame(columns, schema=COLUMNS)


def _pairs(rows: Split, split: Split) -> np.ndarray:
    """user << 32 | history of the rows (N,) whose user is one of `split`."""
    user = np.asarray(rows.user, np.int64)
    return np.unique((user << 32 | np.asarray(rows.history, np.int64))[np.isin(user, split.user)])
