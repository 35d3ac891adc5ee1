"""What train says about its columns: the values of categorical ones, the scale of numeric ones."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from bench.fields.data.reading import Column

MERGED_AT_ONCE = 1 << 18  # counts of a field that wait until they are added to its total


class ValueCounts:
    """How many rows have each value of one categorical field."""

    def __init__(self) -> None:
        self.parts: list[pl.DataFrame] = []
        self.total = 0  # values in the first part, whose values are distinct

    def add(self, column: Column) -> None:
        counts = np.bincount(column.index, minlength=len(column.values))
        self.parts.append(pl.DataFrame({"value": column.values, "count": counts}))
        if sum(map(len, self.parts)) > 2 * self.total + MERGED_AT_ONCE:
            self._merge()

    def _merge(self) -> None:
        merged = pl.concat(self.parts).group_by("value").agg(pl.col("count").sum())
        self.parts, self.total = [merged], len(merged)

    def vocabulary(self, min_count: int) -> "Vocabulary":
        """The values of at least `min_count` rows, whole numbers ascending; else as text."""
        self._merge()
        counts = self.parts[0]
        values = counts.filter(pl.col("count") >= min_count)["value"].sort()
        numbers = values.cast(pl.Int64, strict=False)
        if not numbers.has_nulls():
            values = values.gather(np.argsort(numbers.to_numpy(), kind="stable"))
        return Vocabulary(values)


class Vocabulary:
    """Rows of a field's values: 1..V those of `values`, in their order, V + 1 all others.

    A value is looked up by its hash, among the sorted ones, and then compared: a hundred times as
    fast as a dict of Python, and exact.
    """

    def __init__(self, values: pl.Series) -> None:
        self.values = values
        self.seed = 0
        hashes = values.hash(self.seed)
        while hashes.n_unique() < len(hashes):
            self.seed += 1
            hashes = values.hash(self.seed)
        self.order = hashes.arg_sort().to_numpy()
        self.hashes = hashes.to_numpy()[self.order]

    @property
    def size(self) -> int:
        """Rows, with those of padding (0) and of all other values."""
        return len(self.values) + 2

    def encode(self, column: Column) -> np.ndarray:
        """Rows (N,) int32 of the column's values."""
        n = len(self.values)
        if not n:
            return np.ones(len(column.index), np.int32)
        wanted = column.values.hash(self.seed).to_numpy()
        at = self.order[np.searchsorted(self.hashes, wanted).clip(max=n - 1)]
        is_seen = (self.values.gather(at) == column.values).to_numpy()
        return np.where(is_seen, at + 1, n + 1).astype(np.int32)[column.index]


@dataclass(slots=True)
class Moments:
    """Number, mean, sum of squared deviations, minimum and maximum of the values so far."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: np.ndarray) -> None:
        """Merge those of `values` (N,) float64 (Chan et al. 1979)."""
        n, mean = len(values), float(values.mean())
        away, total = mean - self.mean, self.n + n
        self.squares += float(((values - mean) ** 2).sum()) + away**2 * self.n * n / total
        self.mean += away * n / total
        self.n = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def scale(self, how: str) -> tuple[float, float]:
        """(shift, divisor) of Schema.scale; a column of one value becomes 0."""
        match how:
            case "standard":
                return self.mean, math.sqrt(self.squares / self.n) or 1.0
            case "min_max":
                return self.low, self.high - self.low or 1.0
            case _:
                return 0.0, 1.0
