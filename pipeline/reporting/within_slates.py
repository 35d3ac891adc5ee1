"""How well networks and blenders rank the rows of one user and of one slate (cv.slates.metrics).

The softmax over a slate needs scores z whose exponentials are the rows' chances, up to a factor:
log(p / (1 - p)) of a row that is scored alone, since exactly one row of the slate is clicked; log p
where p has been compared within the slate already.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.special import logit

from cv.blenders.registry import BLENDERS_BY_NAME
from cv.slates.metrics import slate_metrics
from pipeline.blending.predictions import SUBMITTED

PROBABILITIES = ("rank_mean", SUBMITTED)  # columns of 60_blend that hold no logits
SMALLEST = 1e-7  # float32 holds no finite logit for probabilities nearer to 0 or 1

Figures = dict[str, float | None]


def compares_slates(name: str) -> bool:
    """Whether the score of this network or blender depends on the other rows of the slate."""
    return name in BLENDERS_BY_NAME and BLENDERS_BY_NAME[name].uses_slates


def within_slates(
    rows: pl.DataFrame, columns: Mapping[str, str], submitted_compares: bool = False
) -> dict[str, Figures] | None:
    """{name: {gauc, clicked_first, log_loss}}; None where no slate has a click and another row.

    rows     labelled, with user_id, slate and the columns of 60_blend
    columns  by name of a network or a blender, the column of its scores
    submitted_compares  whether the column SUBMITTED has been compared within slates
    """
    label, user, slate = (rows[name].to_numpy() for name in ("label", "user_id", "slate"))
    figures = {}
    for name, column in columns.items():
        compared = submitted_compares if column == SUBMITTED else compares_slates(column)
        z = _log_chance(rows[column].to_numpy(), column in PROBABILITIES, compared)
        metrics = slate_metrics(label, z, user, slate)
        if np.isnan(metrics.log_loss):
            return None
        figures[name] = {
            key: None if np.isnan(value) else value for key, value in metrics._asdict().items()
        }
    return figures


def _log_chance(score: np.ndarray, is_probability: bool, compared: bool) -> np.ndarray:
    """z of the module docstring."""
    score = log_odds(score) if is_probability else score
    return -np.logaddexp(0, -score) if compared else score


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Finite logits (N,) of probabilities (N,), which are cut off SMALLEST from 0 and 1."""
    return logit(np.clip(probability, SMALLEST, 1 - SMALLEST))
