"""The checks on the challenge's values, one small function each, and the list of violations.

A check gets values with their row numbers in the file (from 0), and reports violations; it never
raises. In the end one InputError lists every violation of every file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from features.errors import InputError

EXAMPLES = 5  # offending rows shown per violation
REMEDY = "fix the files, or name another folder: data.dir=FOLDER"

ViolationCallback = Callable[[str, np.ndarray, Iterable], None]  # (expected, rows (K,), found (K,))


@dataclass
class Violation:
    """One broken expectation: how many rows break it, and the first of them as text."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Violations:
    """Everything that is wrong with the files, in the order in which it was added."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], Violation] = {}

    def add(self, file: str, column: str, expected: str, found: str) -> None:
        """Add what is wrong with a file or a column as a whole."""
        self._entries[file, column, expected] = Violation(examples=[found])

    def column(self, file: str, column: str) -> ViolationCallback:
        """The callback that reports violations of one column; batches of a column add up."""

        def report(expected: str, rows: np.ndarray, found: Iterable) -> None:
            if len(rows) == 0:
                return
            entry = self._entries.setdefault((file, column, expected), Violation())
            entry.count += len(rows)
            shown = zip(rows[: EXAMPLES - len(entry.examples)], found, strict=False)
            entry.examples += [f"{value} in row {row}" for row, value in shown]

        return report

    def raise_if_any(self, remedy: str = REMEDY) -> None:
        """Raise one InputError with all violations, if there are any; it ends with `remedy`."""
        if not self._entries:
            return
        lines = [_line(*where, entry) for where, entry in self._entries.items()]
        raise InputError(
            f"the challenge's files break {len(lines)} expectation(s); nothing was written"
            " (rows count from 0):\n  " + "\n  ".join(lines) + f"\n{remedy}"
        )


def _line(file: str, column: str, expected: str, entry: Violation) -> str:
    where = f"{file}: {column}" if column else file
    rows = f" ({entry.count} row{'s' * (entry.count > 1)})" if entry.count else ""
    return f"{where}: found {', '.join(entry.examples)}{rows}; expected {expected}"


def check_row_count(violations: Violations, file: str, found: int, published: int | None) -> None:
    """A file has rows; if `published` is a number, exactly so many."""
    if published is not None and found != published:
        violations.add(file, "", f"the published {published} rows", f"{found} rows")
    elif found == 0:
        violations.add(file, "", "at least one row", "0 rows")


def check_range(
    report: ViolationCallback, rows: np.ndarray, values: np.ndarray, low: int, high: int
) -> None:
    """Values (K,) or (K, W) lie in low..high; for a list the first one outside is shown."""
    if values.size == 0 or (low <= values.min() and values.max() <= high):
        return
    outside = ((values < low) | (values > high)).reshape(len(values), -1)
    bad, position = _first_true(outside)
    report(f"{low}..{high}", rows[bad], values.reshape(outside.shape)[bad, position])


def whole_numbers(report: ViolationCallback, rows: np.ndarray, values: np.ndarray) -> tuple:
    """(rows, values) without fractions, NaN and infinities, which are reported."""
    if values.dtype.kind != "f":
        return rows, values
    whole = np.isfinite(values) & (values == np.trunc(values))
    report("whole numbers", rows[~whole], values[~whole])
    return rows[whole], values[whole]


def check_left_padding(report: ViolationCallback, rows: np.ndarray, values: np.ndarray) -> None:
    """Lists (K, W) have their zeros in front: none after a non-zero."""
    real = values != 0
    bad, last_item = _first_true(real[:, :-1] > real[:, 1:])
    found = (f"0 at position {position}" for position in last_item + 1)
    report("padding zeros on the left only", rows[bad], found)


def check_entries(
    report: ViolationCallback, rows: np.ndarray, of: np.ndarray, values: np.ndarray, high: int
) -> None:
    """Entries (T,) of lists of any length lie in 0..high; `of` (T,) is the list of each.

    rows (K,): the row of each list.
    """
    entry = np.flatnonzero((values < 0) | (values > high))
    lists, first = np.unique(of[entry], return_index=True)
    report(f"0..{high}", rows[lists], values[entry[first]])


def check_entries_padding(
    report: ViolationCallback,
    rows: np.ndarray,
    of: np.ndarray,
    lengths: np.ndarray,
    real: np.ndarray,
) -> None:
    """The same lists have their zeros in front.

    lengths (K,): entries of each list; real (T,): whether an entry is no 0.
    """
    start = np.repeat(np.cumsum(lengths) - lengths, lengths)
    position, n_real = np.arange(len(of)) - start, np.concatenate([[0], np.cumsum(real)])
    entry = np.flatnonzero(~real & (n_real[1:] > n_real[start]))
    lists, first = np.unique(of[entry], return_index=True)
    found = (f"0 at position {at}" for at in position[entry[first]])
    report("padding zeros on the left only", rows[lists], found)


def check_finite(report: ViolationCallback, rows: np.ndarray, values: np.ndarray) -> None:
    """Lists (K, W) of floats hold finite numbers in the range of float32."""
    bad, position = _first_true(~(np.abs(values) <= np.finfo(np.float32).max))
    report("finite float32 numbers", rows[bad], values[bad, position])


def _first_true(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `mask` (K, W) bool with a True, and the position of the first one in each.

    W may be 0: numpy refuses the argmax of an empty row.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    return rows, mask[rows].argmax(axis=1) if len(rows) else rows


def check_unique(report: ViolationCallback, rows: np.ndarray, values: np.ndarray) -> None:
    """No value (K,) occurs twice; the later occurrences are shown."""
    order = np.argsort(values, kind="stable")
    repeated = np.sort(order[1:][values[order[1:]] == values[order[:-1]]])
    report("each value once", rows[repeated], values[repeated])


def check_both_labels(violations: Violations, file: str, labels: np.ndarray) -> None:
    """Both labels occur; otherwise nothing can be trained or scored."""
    absent = [label for label in (0, 1) if len(labels) and not (labels == label).any()]
    for label in absent:
        violations.add(file, "label", "both 0 and 1 to occur", f"no {label} in {len(labels)} rows")


def check_row_is_id(report: ViolationCallback, rows: np.ndarray, ids: np.ndarray) -> None:
    """Row r holds item r, since models index the table by id."""
    bad = np.flatnonzero(rows != ids)
    report("item_id equal to the row's number", rows[bad], ids[bad])


def check_row_zero(report: ViolationCallback, rows: np.ndarray, values: np.ndarray) -> None:
    """Row 0, the padding item, is all zeros in this list column (K, W)."""
    first = np.flatnonzero(rows == 0)
    bad = first[values[first].any(axis=1)]
    found = [f"{np.count_nonzero(values[row])} non-zero numbers" for row in bad]
    report("all zeros in row 0, the padding", rows[bad], found)
