"""Numbers and names as people read them."""

import re
from collections.abc import Sequence

NBSP = "\u00a0"  # what stands on both sides stays in one line


def readable(identifier: str) -> str:
    """hill_climbing -> hill climbing."""
    return identifier.replace("_", " ")


def slug(*words: str) -> str:
    """A name that may be an anchor and a file's: sample-qin-kfold5."""
    return re.sub(r"[^\w.-]+", "-", "-".join(words)).strip("-")


def auc(value: float | None, digits: int = 5) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def cv_and_sd(row: dict) -> str:
    """CV ± sd of a row of scores.json."""
    return "-" if row["cv"] is None else f"{row['cv']:.5f} ±{NBSP}{row['sd']:.5f}"


def gain(values: Sequence[float] | None) -> str:
    """[difference, low, high] -> +0.00100 (+0.00050 to +0.00150)."""
    if values is None:
        return "-"
    difference, low, high = (f"{value:+.5f}" for value in values)
    return f"{difference} ({low} to{NBSP}{high})"


def value_range(values: Sequence[int]) -> str:
    """5, or 5 to 9."""
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def short_count(n: int) -> str:
    """Exact below a thousand, then 1.2k, 52k, 3.6M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}" if n < 10 * size else f"{n / size:.0f}{unit}"
    return f"{n}"


def duration(seconds: float) -> str:
    """4.0 s, 1.5 min or 2.3 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def enumeration(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def compact(value: object) -> str:
    """A setting, or a number of unknown size in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
