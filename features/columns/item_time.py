"""When items are clicked: a coordinate of time, from the order of clicks alone.

    t minimises  Σ (t_b - t_a - 1)² + 3 Σ_i t_i²  over the pairs of successive clicks a, b of a user

Clicks are those of click_sequences.py; an item that nobody clicked has the time 0, which is about
the middle. Items live for days, so that what one user clicks next is of about the same time.

    i_time            t of the target
    ui_time_gap_*     t of the target, minus the mean, last and recent t of the history
    ui_time_distance  |c - last t of the history|,  c: the mean t of the clicks just before those of
                      the target, or its own t if it follows none

Null for an empty history, but i_time. Jiang et al. 2011, "Statistical ranking and combinatorial
Hodge theory" (HodgeRank): a global ranking from differences of pairs; the second term, a ridge,
holds items with few clicks back.
"""

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse.linalg import cg

from features.columns import history_ops
from features.columns.click_sequences import sequences
from features.store.store import Split, Store

RIDGE = 3
TOLERANCE = 1e-5  # of the linear system's residual, relative to its right side
GAPS = ("mean", "last", "recent")
COLUMNS = dict.fromkeys(
    ("i_time", *(f"ui_time_gap_{name}" for name in GAPS), "ui_time_distance"), pl.Float32
)


def fit(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """t and c (I,) float32 of all items, from the train rows `rows`.

    Raises RuntimeError where the linear system is not solved to TOLERANCE.
    """
    item, user = sequences(store, rows)
    follows = user[1:] == user[:-1]
    before, after = item[:-1][follows], item[1:][follows]
    n_items, n_pairs = len(store.items), len(after)
    row, sign = np.tile(np.arange(n_pairs), 2), np.repeat([1.0, -1.0], n_pairs)
    coords = row, np.concatenate((after, before))
    steps = sparse.csr_array((sign, coords), (n_pairs, n_items))
    normal = steps.T @ steps + RIDGE * sparse.eye_array(n_items)
    time, unsolved = cg(normal, steps.T @ np.ones(n_pairs), rtol=TOLERANCE)
    if unsolved:
        raise RuntimeError(
            f"i_time: the times of {n_items} items from {n_pairs} pairs of clicks are not solved to"
            f" {TOLERANCE:g}; conjugate gradients ended with {unsolved}"
        )
    n_before = np.bincount(after, minlength=n_items)
    summed = np.bincount(after, time[before], minlength=n_items)
    clicked = np.where(n_before > 0, summed / np.maximum(n_before, 1), time)
    return time.astype(np.float32), clicked.astype(np.float32)


def describe(store: Store, split: Split, fitted: tuple[np.ndarray, np.ndarray]) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    time, clicked = fitted
    parts = []
    for target, entries, starts in history_ops.blocks(store, split):
        of_history = history_ops.summary("h", time[entries], starts)
        gaps = {f"ui_time_gap_{name}": time[target] - of_history[f"h_{name}"] for name in GAPS}
        distance = np.abs(clicked[target] - of_history["h_last"])
        parts.append({"i_time": time[target], **gaps, "ui_time_distance": distance})
    return history_ops.table(parts, COLUMNS)
