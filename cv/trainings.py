"""How far two trainings differ in AUC, with a 95 % interval over users and over seeds.

    estimate = mean_s AUC(a_s) - mean_s AUC(b_s),   s: seeds; AUC(a_s): mean over the fits of a seed

Measured once more, it would differ for two reasons, and a replicate draws both:

    replicate = difference of the mean AUCs on the users drawn + t s / √S

- Users: whole users are drawn with replacement and the fits stay as they are (cv/bootstrap.py).
- Training (first weights, order of batches, dropout): s is the standard deviation of the S seeds'
  differences on all rows, t a draw of Student's distribution with S - 1 degrees of freedom. Seeds
  drawn with replacement would have (S - 1) / S of that variance and none beyond the seeds at hand:
  of three seeds, such intervals hold the truth far too seldom.

Seeds of the same number are paired: their fits see the same batches, and where the shapes allow it
they begin with the same weights. The standard deviation of the paired differences is right whether
or not that makes their AUCs alike. Seeds that are not paired, a and b each have a term of their own
(Behrens & Fisher). With a single seed of either, the interval covers users alone, and `covers` says
so: it is then about these fits and not about their settings.

What a seed's fits owe to the users at hand is in both terms, which makes intervals a little wide.
"""

from typing import NamedTuple

import numpy as np

from cv.auc import auc
from cv.bootstrap import auc_replicates, percentile_interval

USERS_ALONE = "users; training noise is left out"
T_DRAWS = 50  # of Student's distribution for each replicate: its tails are long


class TrainingDifference(NamedTuple):
    """AUC(a) - AUC(b) on all rows, its 95 % interval, and which noise that covers, in words."""

    estimate: float
    low: float
    high: float
    covers: str


def training_bootstrap(
    label: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    group: np.ndarray | None = None,
    paired: bool = True,
    n: int = 1000,
    seed: int = 0,
) -> TrainingDifference:
    """Difference of two trainings; see the module docstring.

    label, group: (N,); `group` holds user ids (None: every row is its own group).
    a, b: (N,) one seed, (N, S) S seeds, or (N, S, F) S seeds of F fits each; S may differ unless
    the seeds are `paired`, then score s of both is of the same seed.
    Raises ValueError as `auc` does, and for pairs of unequal length.
    """
    ours, theirs = (np.reshape(score, (*score.shape, 1, 1)[:3]) for score in (a, b))
    n_ours, n_theirs = ours.shape[1], theirs.shape[1]
    if paired and n_ours != n_theirs:
        raise ValueError(f"{n_ours} and {n_theirs} seeds cannot be paired")
    of_seed = [_seed_aucs(label, scores) for scores in (ours, theirs)]
    columns = [
        scores[:, s, f] for scores in (ours, theirs) for s, f in np.ndindex(*scores.shape[1:])
    ]
    draws = auc_replicates(label, columns, group, n, seed)
    split = ours[0].size
    replicates = draws[:, :split].mean(1) - draws[:, split:].mean(1)
    terms = [of_seed[0] - of_seed[1]] if paired else of_seed
    covers = USERS_ALONE
    if min(n_ours, n_theirs) > 1:
        rng = np.random.default_rng([seed, 1])  # another stream than the users'
        noise = sum(_seed_noise(rng, aucs, (n, T_DRAWS)) for aucs in terms)
        replicates = (replicates[:, None] + noise).ravel()
        covers = f"users and {n_ours} {'paired' if paired else f'and {n_theirs}'} seeds"
    estimate = float(of_seed[0].mean() - of_seed[1].mean())
    return TrainingDifference(*percentile_interval(estimate, replicates), covers)


def _seed_aucs(label: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(S,) float64: the mean AUC of every seed's fits; scores (N, S, F)."""
    _, n_seeds, n_fits = scores.shape
    aucs = [auc(label, scores[:, s, f]) for s in range(n_seeds) for f in range(n_fits)]
    return np.reshape(aucs, (n_seeds, n_fits)).mean(1)


def _seed_noise(rng: np.random.Generator, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Draws of t s / √S around the mean of `values` (S,)."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return error * rng.standard_t(len(values) - 1, shape)
