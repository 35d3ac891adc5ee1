"""The columns of 30_features as networks read them: a code for each value, its place among train's.

    code(v) = 1 + (#{b < v} + #{b <= v}) // 2,  0 where v is null;  b: the borders of the column

The borders are the values at the places i / 255, i = 1..254, of the sorted values of train rows, so
that the codes 1..255 are bins of equally many rows. A value that fills several bins, a tie, gets
the middle one. A column with a single value, or none, tells nothing: its borders are -inf and inf,
half each, and every value has the code 128.

No label is read. The rows of a fold have borders of their own, made of the values of its train rows
as features that were fitted outside the fold describe them: labels of a fold move no code of it.

A code is one byte, uint8; the columns of a table are in the order of features.table.names.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

N_BORDERS = 254
FOLDER = "codes"
PREFIXES = "prefixes.npy"  # in a folder of its own
BORDERS, NAMES = f"{FOLDER}/borders.npy", f"{FOLDER}/columns.json"


def borders_of(columns: Iterable[np.ndarray]) -> np.ndarray:
    """The borders (C, N_BORDERS) float64 of C `columns` (N,) float64, NaN where unknown."""
    return np.stack([_borders(column) for column in columns])


def encode(columns: Iterable[np.ndarray], borders: np.ndarray) -> np.ndarray:
    """The codes (N, C) uint8 of C `columns` (N,) float64, NaN where unknown."""
    return np.stack([_codes(*pair) for pair in zip(columns, borders, strict=True)], axis=1)


def file_of(name: str, fold: int) -> str:
    """The file of the codes of train, valid or test rows that a fit of `fold` reads.

    Train rows have one code each, by the fold that they lie in. In official mode, fold -1, so do
    the others, by all train rows.
    """
    by_fold = name != "train" and fold >= 0
    return f"{FOLDER}/{name}-fold{fold}.npy" if by_fold else f"{FOLDER}/{name}.npy"


def load(folder: Path, name: str, fold: int) -> np.ndarray:
    """The codes (N, C) that a fit of `fold` reads, mapped; `folder` is that of 30_features."""
    return np.load(folder / file_of(name, fold), mmap_mode="r", allow_pickle=False)


def load_prefixes(folder: Path) -> np.ndarray:
    """The codes (N, C) of the rows of 25_prefixes, mapped; `folder` is the one of their codes."""
    return np.load(folder / PREFIXES, mmap_mode="r", allow_pickle=False)


def _borders(column: np.ndarray) -> np.ndarray:
    known = np.sort(column[~np.isnan(column)])
    if len(known) == 0 or known[0] == known[-1]:
        return np.repeat([-np.inf, np.inf], N_BORDERS // 2)
    return known[np.arange(1, N_BORDERS + 1) * len(known) // (N_BORDERS + 1)]


def _codes(column: np.ndarray, borders: np.ndarray) -> np.ndarray:
    below, up_to = (np.searchsorted(borders, column, side) for side in ("left", "right"))
    return np.where(np.isnan(column), 0, 1 + (below + up_to) // 2).astype(np.uint8)
