"""The softmax over each slate, and its cross entropy with the clicks: what a choice is fitted by.

    p_i  = exp(z_i) / Σ_{j in S} exp(z_j)
    loss = mean over slates of -Σ_{i in S} y_i log p_i / Σ_{i in S} y_i

ListNet's top-one loss (Cao et al. 2007, "Learning to rank: from pairwise approach to listwise
approach", ICML), of one click McFadden's conditional logit. Slates of one row and slates without a
click have no loss.
"""

import numpy as np


class SlateSoftmax:
    """Labelled rows in slates.

    label (N,) 0 and 1, slate (N,) int64
    """

    def __init__(self, label: np.ndarray, slate: np.ndarray) -> None:
        _, self.nth = np.unique(slate, return_inverse=True)
        size, clicks = np.bincount(self.nth), np.bincount(self.nth, label)
        counted = (size > 1) & (clicks > 0)
        self.order = np.argsort(self.nth, kind="stable")
        self.first = np.r_[0, np.cumsum(size)[:-1]]
        self.counted = counted[self.nth]  # (N,) bool
        self.target = np.where(self.counted, label / np.maximum(clicks, 1)[self.nth], 0)
        self.n_slates = int(counted.sum())

    def log_p(self, z: np.ndarray) -> np.ndarray:
        """log p (N,) float64 of the scores z (N,)."""
        z = np.asarray(z, np.float64)
        z = z - np.maximum.reduceat(z[self.order], self.first)[self.nth]
        return z - np.log(np.bincount(self.nth, np.exp(z)))[self.nth]

    def loss(self, z: np.ndarray) -> float:
        """Nats; NaN where no slate has a loss."""
        if not self.n_slates:
            return float("nan")
        return float(-(self.target @ self.log_p(z)) / self.n_slates)

    def gradient(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivatives (N,) of the sum of losses by each row's score."""
        p = np.where(self.counted, np.exp(self.log_p(z)), 0)
        return p - self.target, p * (1 - p)
