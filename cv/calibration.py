"""Whether probabilities mean what they say: log loss, reliability, expected calibration error.

    log loss = mean of ln(1 + e^z) - y z                          (z the logit, y the label)
    ECE      = Σ_b n_b / N · |mean label of bin b - mean probability of bin b|

over bins of equal counts. Guo et al. 2017, "On calibration of modern neural networks", ICML, with
the equal counts of Nixon et al. 2019, "Measuring calibration in deep learning".
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit


class Reliability(NamedTuple):
    """Bins (K,) of equal counts, lowest probabilities first; ties make K less than asked for."""

    predicted: np.ndarray  # mean probability, float64
    observed: np.ndarray  # share of positives, float64
    count: np.ndarray  # rows, int64

    @property
    def ece(self) -> float:
        gap = np.abs(self.observed - self.predicted)
        return float(self.count @ gap / self.count.sum())


def log_loss(label: np.ndarray, logit: np.ndarray) -> float:
    """Mean negative log likelihood, nats. label (N,) 0 and 1, logit (N,) float."""
    logit = np.asarray(logit, np.float64)
    return float(np.mean(np.logaddexp(0.0, logit) - logit * np.asarray(label)))


def reliability(label: np.ndarray, logit: np.ndarray, n_bins: int = 15) -> Reliability:
    """Mean probability and share of positives in bins of equal counts.

    label (N,) 0 and 1, logit (N,) finite float, N > 0. Equal logits share a bin.
    """
    logit = np.asarray(logit, np.float64)
    edges = np.unique(np.quantile(logit, np.arange(1, n_bins) / n_bins))
    bins = np.searchsorted(edges, logit, "left")
    count = np.bincount(bins, minlength=len(edges) + 1)
    kept = count > 0
    predicted = np.bincount(bins, weights=expit(logit), minlength=len(count))[kept] / count[kept]
    observed = np.bincount(bins, weights=label, minlength=len(count))[kept] / count[kept]
    return Reliability(predicted, observed, count[kept])
