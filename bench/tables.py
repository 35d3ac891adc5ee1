"""What the printed tables share."""

import statistics


def spread(values: list[float], digits: int, sign: str = "") -> str:
    """Mean ± sample standard deviation; of one value, the value."""
    mean = f"{statistics.fmean(values):{sign}.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean
