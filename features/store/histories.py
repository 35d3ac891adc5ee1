"""Equal histories are stored once, numbered by their first occurrence.

A row's history h_1 .. h_n (padding gone) is looked up by a 64-bit hash,

    hash = sum_j mix(h_j + 2^32 j + seed)   mod 2^64,   mix = the finaliser of SplitMix64
    (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"),

and then compared with the stored history item by item. If two different histories have one hash,
everything is hashed again with the next seed: numbers and bytes depend on the histories alone.
"""

import numpy as np


def strip_padding(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The non-zero entries int32 (T,) of lists (B, W), and each row's start: int64 (B + 1,)."""
    real = padded != 0
    offsets = np.zeros(len(padded) + 1, np.int64)
    np.cumsum(np.count_nonzero(real, axis=1), out=offsets[1:])
    return padded[real].astype(np.int32, copy=False), offsets


def mix(keys: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: uint64 to uint64, one to one."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def row_hashes(values: np.ndarray, offsets: np.ndarray, seed: int) -> np.ndarray:
    """One uint64 (B,) per row of the ragged (values, offsets); 0 for an empty row."""
    position = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
    keys = values.astype(np.uint64) + (position.astype(np.uint64) << np.uint64(32))
    start = np.array([seed * 0x9E3779B97F4A7C15 % 2**64], np.uint64)
    total = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(mix(keys + start), out=total[1:])
    return total[offsets[1:]] - total[offsets[:-1]]


class Buffer:
    """An array that grows at its end by doubling."""

    def __init__(self, dtype: type) -> None:
        self._data, self.size = np.empty(1024, dtype), 0

    @property
    def view(self) -> np.ndarray:
        return self._data[: self.size]

    def extend(self, values: np.ndarray) -> None:
        size = self.size + len(values)
        if size > len(self._data):
            grown = np.empty(max(size, 2 * len(self._data)), self._data.dtype)
            grown[: self.size] = self.view
            self._data = grown
        self._data[self.size : size] = values
        self.size = size


class Histories:
    """The distinct histories seen so far: values int32 (T,), offsets int64 (H + 1,)."""

    def __init__(self) -> None:
        self._values, self._offsets = Buffer(np.int32), Buffer(np.int64)
        self._offsets.extend(np.zeros(1, np.int64))
        self._seed = 0
        self._hashes = np.empty(0, np.uint64)  # ascending
        self._numbers = np.empty(0, np.int32)  # the history that has each hash

    @property
    def values(self) -> np.ndarray:
        return self._values.view

    @property
    def offsets(self) -> np.ndarray:
        return self._offsets.view

    def add(self, padded: np.ndarray) -> np.ndarray:
        """Number int32 (B,) of each row's history; `padded` (B, W) holds 0 for padding."""
        return self.add_ragged(*strip_padding(padded))

    def add_ragged(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The same of values int32 (T,) without padding; row i has offsets[i] : offsets[i + 1]."""
        before = self._values.size, self._offsets.size
        numbers = self._number(values, offsets)
        while not self._same(numbers, values, offsets):
            self._values.size, self._offsets.size = before
            self._reseed()
            numbers = self._number(values, offsets)
        return numbers

    def _number(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The number of each row's history, by its hash; a new hash becomes a new history."""
        hashes = row_hashes(values, offsets, self._seed)
        distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        at = np.searchsorted(self._hashes, distinct)
        seen = np.zeros(len(distinct), bool)
        inside = at < len(self._hashes)
        seen[inside] = self._hashes[at[inside]] == distinct[inside]

        numbers = np.empty(len(distinct), np.int32)
        numbers[seen] = self._numbers[at[seen]]
        order = np.argsort(first[~seen])
        ranks = np.empty(len(order), np.int32)
        ranks[order] = np.arange(len(order))
        numbers[~seen] = len(self.offsets) - 1 + ranks
        self._append(values, offsets, first[~seen][order])
        self._hashes = np.insert(self._hashes, at[~seen], distinct[~seen])
        self._numbers = np.insert(self._numbers, at[~seen], numbers[~seen])
        return numbers[inverse]

    def _append(self, values: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> None:
        lengths = offsets[rows + 1] - offsets[rows]
        self._offsets.extend(self.offsets[-1] + np.cumsum(lengths))
        self._values.extend(values[_spans(offsets[rows], lengths)])

    def _same(self, numbers: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> bool:
        """Whether every row equals the history of its number, item by item."""
        start, lengths = self.offsets[numbers], np.diff(offsets)
        if not np.array_equal(self.offsets[numbers + 1] - start, lengths):
            return False
        return np.array_equal(self.values[_spans(start, lengths)], values)

    def _reseed(self) -> None:
        self._seed += 1
        assert self._seed < 100, "histories collide under every seed: row_hashes is broken"
        hashes = row_hashes(self.values, self.offsets, self._seed)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._numbers = hashes[order], order.astype(np.int32)


def _spans(start: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Positions start_i .. start_i + lengths_i - 1 of all spans, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - lengths), lengths)
