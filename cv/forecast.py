"""What AUC a finished score will reach on a test set whose users are like those of official valid.

    estimate = AUC on valid
    high     = estimate + z s √(1 + U_valid / U_test)
    low      = estimate - z s √(1 + U_valid / U_test) - Σ optimism(choice)

z is 1.96, U counts users, and s is the standard deviation of valid's AUC when whole users are drawn
again (cv/bootstrap.py). The test set is a draw of users too: its AUC varies by s² U_valid / U_test.

Where valid chose the best of k candidates, such as epochs or networks, its AUC is too high. For
each choice the low end allows for the smaller of two bounds on that, which hold on average:

    optimism = min(best - mean of the k AUCs, s e_k)

The first is exact if the candidates are equally good, and too large if they are not. The second is
the largest that k draws with this noise can give; e_k is their expected maximum in standard
deviations, Φ⁻¹((k - 3/8) / (k + 1/4)) after Blom 1958, "Statistical Estimates and Transformed
Beta-Variables". The estimate itself stays the AUC that was measured.
"""

from collections.abc import Iterable, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

import numpy as np

from cv.auc import auc
from cv.bootstrap import auc_replicates

LEVEL = 0.95


class Forecast(NamedTuple):
    """An AUC, and the interval that holds the test's in 95 of 100 cases."""

    auc: float
    low: float
    high: float


def forecast(
    label: np.ndarray,
    score: np.ndarray,
    user: np.ndarray,
    n_test_users: int,
    choices: Iterable[Sequence[float]] = (),
    n: int = 1000,
    seed: int = 0,
) -> Forecast:
    """The forecast for `score`.

    label, score, user: (N,), the rows of official valid; `user` holds ids.
    choices: for each choice that valid made, the AUCs on valid of the candidates.
    n: draws of users. Raises ValueError as `auc` does: shapes, NaN, labels, one class only.
    """
    estimate = auc(label, score)
    sd = float(np.std(auc_replicates(label, (score,), user, n, seed), ddof=1))
    n_valid_users = len(np.unique(user))
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    half = z * sd * (1 + n_valid_users / n_test_users) ** 0.5
    low = estimate - half - sum(optimism(aucs, sd) for aucs in choices)
    return Forecast(estimate, max(low, 0.0), min(estimate + half, 1.0))


def optimism(aucs: Sequence[float], sd: float) -> float:
    """How much the best of several AUCs is too high, at most and on average."""
    k = len(aucs)
    return min(max(aucs) - fmean(aucs), sd * NormalDist().inv_cdf((k - 0.375) / (k + 0.25)))
