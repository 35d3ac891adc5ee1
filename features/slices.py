"""Slices of one long array, such as histories among the values of a store, one after the other."""

import numpy as np


def places(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of H slices, `begin` to `end` (H,) int64, lie in their array.

    Returns the places (t,) int64 of all entries, slice by slice, and where the entries of each
    slice begin among these, (H + 1,) int64.
    """
    length = end - begin
    offsets = np.concatenate(([0], np.cumsum(length)))
    return np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], length), offsets
