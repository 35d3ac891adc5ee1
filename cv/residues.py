"""The divisor d of user ids whose remainder tells clicks from non-clicks best.

With r_u = (clicks of user u) - rate (rows of u), and the users of each remainder c = u mod d:

    χ²_d = Σ_c (Σ_u r_u)² / Σ_u r_u²        about d - 1 without a leak, with variance 2 (d - 1)

The divisor with the largest (χ²_d - d + 1) / √(2 (d - 1)) is the best.
"""

import numpy as np

from cv import leak_statistics

DIVISORS = range(2, 65)


def best_divisor(user: np.ndarray, label: np.ndarray) -> int:
    """The divisor of the module docstring for rows with ids `user` (N,) and label (N,)."""
    users, of_row, rows = np.unique(user, return_inverse=True, return_counts=True)
    residual = np.bincount(of_row, label) - label.mean() * rows

    def excess(d: int) -> float:
        remainder = users % d
        total = np.bincount(remainder, residual, d)
        spread = np.bincount(remainder, np.square(residual), d)
        chi2 = (np.square(total) / np.maximum(spread, 1e-12)).sum()
        return (chi2 - (d - 1)) / np.sqrt(2 * (d - 1))

    return max(DIVISORS, key=excess)


def scores(
    user: np.ndarray, label: np.ndarray, fold: np.ndarray, others: list[np.ndarray]
) -> tuple[list[np.ndarray], int]:
    """Smoothed label means by remainder, and the best divisor of all N rows.

    user, label, fold (N,); others: ids (M,) of other rows. The divisor of a fold's rows is chosen
    on the other folds, that of `others` on all rows.
    """
    inside = np.empty(len(user))
    for k in np.unique(fold):
        chosen = best_divisor(user[fold != k], label[fold != k])
        by_value = leak_statistics.smoothed_label_means(user % chosen, label, fold, [])[0]
        inside[fold == k] = by_value[fold == k]
    chosen = best_divisor(user, label)
    remainders = [other % chosen for other in others]
    _, *outside = leak_statistics.smoothed_label_means(user % chosen, label, fold, remainders)
    return [inside, *outside], chosen
