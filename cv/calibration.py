"""Calibration of probabilities: log loss, reliability, expected calibration error and slope.

    log loss = mean of ln(1 + e^z) - y z                          (z the logit, y the label)
    ECE      = Σ_b n_b / N · |mean label of bin b - mean probability of bin b|
    slope    = b of the logistic regression y ~ a + b z; below 1: probabilities are too extreme

over bins of equal counts. Guo et al. 2017, "On calibration of modern neural networks", ICML, with
the equal counts of Nixon et al. 2019, "Measuring calibration in deep learning"; the slope is Cox's
(1958, "Two further applications of a model for binary regression", Biometrika 45).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

ROUNDED = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins (K,) of equal counts, lowest probabilities first; with ties K is less than `n_bins`."""

    predicted: np.ndarray  # mean probability, float64
    observed: np.ndarray  # share of positives, float64
    count: np.ndarray  # rows, int64

    @property
    def ece(self) -> float:
        gap = np.abs(self.observed - self.predicted)
        return float(self.count @ gap / self.count.sum())

    @property
    def bias(self) -> float:
        """Mean probability minus share of positives."""
        return float(self.count @ (self.predicted - self.observed) / self.count.sum())

    @property
    def slope(self) -> float:
        """Cox's slope, over bins; NaN for a single bin.

        Mean probabilities are cut off `ROUNDED` from 0 and 1, which extreme logits round to.
        """
        if len(self.count) < 2:
            return float("nan")
        z = np.tile(logit(self.predicted.clip(ROUNDED, 1 - ROUNDED)), 2)[:, None]
        label = np.repeat([0, 1], len(self.count))
        weight = np.r_[self.count * (1 - self.observed), self.count * self.observed]
        return float(LogisticRegression(C=np.inf).fit(z, label, weight).coef_[0, 0])


def log_loss(label: np.ndarray, z: np.ndarray) -> float:
    """Mean negative log likelihood, nats. label (N,) 0 and 1, z (N,) logits, float."""
    z = np.asarray(z, np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - z * np.asarray(label)))


def reliability(label: np.ndarray, z: np.ndarray, n_bins: int = 15) -> Reliability:
    """Mean probability and share of positives in bins of equal counts.

    label (N,) 0 and 1, z (N,) finite logits, float, N > 0. Equal logits share a bin.
    """
    z = np.asarray(z, np.float64)
    edges = np.unique(np.quantile(z, np.arange(1, n_bins) / n_bins))
    bins = np.searchsorted(edges, z, "left")
    count = np.bincount(bins, minlength=len(edges) + 1)
    filled = count > 0
    predicted = np.bincount(bins, weights=expit(z), minlength=len(count))[filled] / count[filled]
    observed = np.bincount(bins, weights=label, minlength=len(count))[filled] / count[filled]
    return Reliability(predicted, observed, count[filled])
