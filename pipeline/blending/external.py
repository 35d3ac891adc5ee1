"""A public submission of another team, mixed into the submitted score: `blend.external=FILE`.

Such a file scores the test rows and nothing else: it has no out-of-fold rows and none of official
valid. So only the leaderboard evaluates the mixture, and its weight is a guess.
`blend.external_task` is the column with its scores: Task2, Task1 or Task1&2.

    rank    (1 - w) rank(ours) + w rank(theirs), (rank - 1/2) / n with mid-ranks on ties
    logit   sigmoid((1 - w) logit(ours) + w logit(theirs))
"""

from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from features.errors import InputError
from pipeline.config.settings import BlendSettings
from submissions.check import read_scores

NOT_VALIDATED = "it has no out-of-fold rows, so only the leaderboard can evaluate it and its weight"


def read(ids: np.ndarray, cfg: BlendSettings) -> np.ndarray:
    """The file's scores (n,) float64 of the test rows `ids` (n,); InputError as in `mix`."""
    return read_scores(Path(cfg.external), ids, cfg.external_task)


def mix(ours: np.ndarray, ids: np.ndarray, cfg: BlendSettings) -> np.ndarray:
    """Probabilities (n,) of `ours` (n,) float64 and the file's scores of the test rows `ids` (n,).

    Raises InputError where the file is no submission for these rows.
    """
    theirs = read(ids, cfg)
    w = cfg.external_weight
    if cfg.external_mean == "rank":
        return (1 - w) * _ranks(ours) + w * _ranks(theirs)
    mixed = (1 - w) * logit(ours) + w * logit(theirs)
    n_infinite = int((~np.isfinite(mixed)).sum())
    if n_infinite:
        raise InputError(
            f"{n_infinite} scores of {cfg.external}, or of ours, are 0 or 1 and have no logit:"
            " use blend.external_mean=rank"
        )
    return expit(mixed)


def _ranks(score: np.ndarray) -> np.ndarray:
    return (rankdata(score) - 0.5) / len(score)
