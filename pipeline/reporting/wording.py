"""Figures and names as people read them."""


def name(identifier: str) -> str:
    """hill_climbing -> hill climbing."""
    return identifier.replace("_", " ")


def auc(value: float | None, digits: int = 5) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def cv_words(row: dict) -> str:
    """CV ± sd of a row of `scores.judge`."""
    return "-" if row["cv"] is None else f"{row['cv']:.5f} ± {row['sd']:.5f}"


def span(values: list[int]) -> str:
    """5, or 5 to 9."""
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def count(n: int) -> str:
    """Exact below a thousand, then 1.2k, 52k, 3.6M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}" if n < 10 * size else f"{n / size:.0f}{unit}"
    return f"{n}"


def seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{value / 60:.1f} min"
    return f"{value / 3600:.1f} h"


def listed(names: list[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def quantity(value: float) -> str:
    """A setting or a figure of unknown size, in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
