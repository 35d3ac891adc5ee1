"""Histories of one file: lists padded to one width, or lists without any padding.

A file whose lists hold no 0 needs no padding, so they may have any length. As soon as one list
holds a 0, every list must have the full width, with its zeros in front.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.store import parquet, validators
from features.store.histories import Histories
from features.store.parquet import RowValues
from features.store.schema import ColumnSpec
from features.store.validators import ViolationCallback


class HistoryLists:
    """Reads the column `item_seq` of one file, batch by batch, into `histories`."""

    def __init__(self, column: ColumnSpec, histories: Histories) -> None:
        self._column, self._histories = column, histories
        self._padded = False  # whether a list holds a 0
        self._unequal: list[tuple[np.ndarray, np.ndarray]] = []  # rows, lengths

    @property
    def unpadded(self) -> bool:
        """Whether lists of other lengths than the width were read."""
        return any(len(rows) for rows, _ in self._unequal)

    def read(self, array: pa.Array, start: int, report: ViolationCallback) -> RowValues:
        """The row of each list (K,), and the number of its history, int32 (K,)."""
        column, width, array = self._column, self._column.width, parquet.as_integers(array)
        lengths = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
        if (lengths == width).all():
            rows, values = parquet.read_column(column, array, start, report)
            self._padded |= not values.all()
            return rows, self._histories.add(values)
        rows = np.arange(start, start + len(array))
        kept = (lengths >= 0) & (lengths <= parquet.MAX_WIDTH)
        report("no nulls", rows[lengths < 0], ["null"] * validators.EXAMPLES)
        long = lengths > parquet.MAX_WIDTH
        expected = f"lists of at most {parquet.MAX_WIDTH} elements"
        report(expected, rows[long], (f"{n} elements" for n in lengths[long]))
        return self._read_unequal(rows[kept], array.filter(pa.array(kept)), lengths[kept], report)

    def _read_unequal(
        self, rows: np.ndarray, array: pa.Array, lengths: np.ndarray, report: ViolationCallback
    ) -> RowValues:
        flat, of = array.flatten(), np.repeat(np.arange(len(rows)), lengths)
        if flat.null_count:
            whole = np.ones(len(rows), bool)
            whole[of[flat.is_null().to_numpy(zero_copy_only=False)]] = False
            report("no nulls in lists", rows[~whole], ["null"] * validators.EXAMPLES)
            array = array.filter(pa.array(whole))
            return self._read_unequal(rows[whole], array, lengths[whole], report)
        values = flat.to_numpy(zero_copy_only=False)
        validators.check_entries(report, rows, of, values, self._column.high)
        real = values != 0
        n_real = np.bincount(of, weights=real, minlength=len(rows)).astype(np.int64)
        validators.check_entries_padding(report, rows, of, lengths, real)
        self._padded |= not real.all()
        other = lengths != self._column.width
        self._unequal.append((rows[other], lengths[other]))
        offsets = np.concatenate([[0], np.cumsum(n_real)])
        return rows, self._histories.add_ragged(values[real].astype(np.int32), offsets)

    def finish(self, report: ViolationCallback) -> None:
        """After the last batch: lists of other lengths are violations where others are padded."""
        if not (self._padded and self.unpadded):
            return
        rows, lengths = (np.concatenate(parts) for parts in zip(*self._unequal, strict=True))
        expected = (
            f"lists of {self._column.width} elements, shorter histories padded with 0 in front; or"
            " lists of any length, without any 0 in the file"
        )
        report(expected, rows, (f"{n} elements" for n in lengths))
