"""Semantic codes: an item's content vector as a few small numbers, which similar items share.

Residual quantisation (Lee et al. 2022, "Autoregressive Image Generation using Residual
Quantization", arXiv:2203.01941, section 3.1): with centroids e_k of level k, x an item's vector,

    r_0 = x      c_k = argmin_c |r_(k-1) - e_k(c)|²      r_k = r_(k-1) - e_k(c_k)

so that the first k codes give x up to r_k. Departures: no autoencoder around it, and each level has
its own codebook, by k-means on the residuals of the level before.
"""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans

from features.errors import InputError

MAX_ITERATIONS = 25  # of k-means, per level


class Codes(NamedTuple):
    """Codes of I items at K levels."""

    codes: np.ndarray  # (I, K) int32; 1 + k * codebook + c_k, or 0 where the vector is all zeros
    centroids: np.ndarray  # (K, codebook, D) float32
    variance_left: list[float]  # by level: mean |r_k|² as a share of the vectors' variance


def quantise(vectors: np.ndarray, levels: int, codebook: int, seed: int) -> Codes:
    """Codes of `vectors` float32 (I, D); all-zero rows are left out and get the code 0.

    Raises InputError if a level has fewer distinct vectors than `codebook`.
    """
    items = np.flatnonzero(vectors.any(axis=1))
    residual = vectors[items]
    variance = residual.var(axis=0, dtype=np.float64).sum()
    codes = np.zeros((len(vectors), levels), np.int32)
    centroids, variance_left = [], []
    for level in range(levels):
        _check_distinct(residual, codebook, level)
        kmeans = KMeans(codebook, n_init=1, max_iter=MAX_ITERATIONS, random_state=seed)
        nearest = kmeans.fit_predict(residual)
        codes[items, level] = 1 + level * codebook + nearest
        residual = residual - kmeans.cluster_centers_[nearest]
        centroids.append(kmeans.cluster_centers_)
        variance_left.append(
            float(np.square(residual, dtype=np.float64).sum(axis=1).mean() / variance)
        )
    return Codes(codes, np.stack(centroids), variance_left)


def _check_distinct(vectors: np.ndarray, codebook: int, level: int) -> None:
    distinct = len(np.unique(vectors, axis=0))
    if distinct < codebook:
        what = f"residuals after level {level}" if level else "content vectors that are not zero"
        raise InputError(
            f"prepare.codebook = {codebook}, but there are {distinct} distinct {what}:"
            " use a smaller prepare.codebook, or fewer prepare.codes"
        )
