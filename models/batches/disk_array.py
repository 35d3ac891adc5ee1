"""One array of a store on disk, read in pieces: nothing of it stays in memory.

A mapped file counts as the process's memory, page by page, for as long as it is mapped. So
consecutive elements are read, not mapped; scattered ones are copied out of maps that are closed
before more than 8 MiB of them can be resident. Linux reads up to 64 KiB around a page.
"""

import itertools
from dataclasses import dataclass

import numpy as np

REGION_BITS = 16  # log2 of the bytes that one access may make resident
REGIONS = 128  # regions that are read through one map: 8 MiB
STEP = 1 << 20  # elements read at a time in a pass over the whole array


@dataclass(frozen=True, slots=True)
class DiskArray:
    """An array (N, ...) in a file, row by row: its elements are its rows.

    path    of the file
    dtype   of an element; that of a row of several values holds its shape
    start   bytes before the first one
    length  elements
    """

    path: str
    dtype: np.dtype
    start: int
    length: int

    @classmethod
    def of(cls, array: np.memmap) -> "DiskArray":
        """The array that `array` (N, ...) maps, as features.store.store opens it."""
        dtype = np.dtype((array.dtype, array.shape[1:]))
        return cls(str(array.filename), dtype, array.offset, len(array))

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> np.ndarray:
        """A copy of elements `start` to `stop`. Raises OSError where the file ends before."""
        offset = self.start + start * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, stop - start, offset=offset)
        if len(values) < stop - start:
            raise OSError(f"{self.path} ends {stop - start - len(values)} elements early")
        return values

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Elements `index` (M,) int64, which ascends: (M,)."""
        values = np.empty(len(index), self.dtype)
        new_region = np.diff(index * self.dtype.itemsize >> REGION_BITS).nonzero()[0] + 1
        ends = [*new_region[REGIONS - 1 :: REGIONS].tolist(), len(index)]
        for a, b in itertools.pairwise([0, *ends]):
            mapped = np.memmap(self.path, self.dtype, "r", self.start, (self.length,))
            values[a:b] = mapped[index[a:b]]
            del mapped
        return values

    def max(self) -> int:
        """The largest of at least one element."""
        starts = range(0, self.length, STEP)
        return max(int(self.read(a, min(a + STEP, self.length)).max()) for a in starts)
