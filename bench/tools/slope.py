"""How y grows with x: the exponent of a power law."""

from collections.abc import Sequence

import numpy as np


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """b of y = a x^b by least squares of the logarithms; x, y (n,) above 0, two or more x.

    With 1, y is proportional to x; with 0, independent of it.
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
