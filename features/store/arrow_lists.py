"""Rectangular arrays as Arrow list columns."""

import numpy as np
import pyarrow as pa


def lists(rows: np.ndarray) -> pa.ListArray:
    """A list column from an array (n, width)."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    return pa.ListArray.from_arrays(offsets, rows.ravel())
