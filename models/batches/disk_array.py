"""One array of a store on disk, read in pieces: nothing of it stays in memory.

A mapped file counts as the process's memory, page by page, for as long as it is mapped. So
consecutive elements are read, not mapped; scattered ones are copied out of maps that are closed
before more than `MAPPED` of them can be resident. Linux brings in up to 64 KiB around a page.
"""

import itertools
from dataclasses import dataclass

import numpy as np

AROUND = 16  # bits of the bytes that one access may make resident
AT_ONCE = 128  # such places before a map is closed
MAPPED = AT_ONCE << AROUND  # bytes: 8 MiB
STEP = 1 << 20  # elements, where a whole array is gone through


@dataclass(frozen=True, slots=True)
class DiskArray:
    """A flat array in a file.

    path    of the file
    dtype   of its elements
    start   bytes before the first one
    length  elements
    """

    path: str
    dtype: np.dtype
    start: int
    length: int

    @classmethod
    def of(cls, array: np.memmap) -> "DiskArray":
        """The column that `array` (N,) maps, as features.store.store opens it."""
        return cls(str(array.filename), array.dtype, array.offset, len(array))

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> np.ndarray:
        """Elements `start` to `stop`, a copy. Raises OSError where the file ends before."""
        first = self.start + start * self.dtype.itemsize
        made = np.fromfile(self.path, self.dtype, stop - start, offset=first)
        if len(made) < stop - start:
            raise OSError(f"{self.path} ends {stop - start - len(made)} elements early")
        return made

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Elements `index` (M,) int64, which ascends: (M,)."""
        made = np.empty(len(index), self.dtype)
        places = np.diff(index * self.dtype.itemsize >> AROUND).nonzero()[0] + 1
        ends = [*places[AT_ONCE - 1 :: AT_ONCE].tolist(), len(index)]
        for a, b in itertools.pairwise([0, *ends]):
            mapped = np.memmap(self.path, self.dtype, "r", self.start, (self.length,))
            made[a:b] = mapped[index[a:b]]
            del mapped
        return made

    def max(self) -> int:
        """The largest element of at least one."""
        starts = range(0, self.length, STEP)
        return max(int(self.read(a, min(a + STEP, self.length)).max()) for a in starts)
