"""Probes of histories: what a history must not tell of the rows that it stands in.

A long history may honestly mean a user who clicks more. So lengths, and all else that histories
have, are compared between the rows of one user.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from features.columns import content_similarity, tag_overlap
from features.probe_columns import (
    near_duplicate,
    row_history,
    target_in_history,
    target_in_other_history,
)
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels

MATCH = (content_similarity, tag_overlap)
RISING = [1] * sum(len(module.COLUMNS) for module in MATCH)  # a better match, more clicks
FLAGS = {  # probe -> the module of its only column, 0 or 1
    "target_in_history": target_in_history,
    "target_in_other_history": target_in_other_history,
    "near_duplicate": near_duplicate,
}


def histories(labels: Labels) -> Iterator[Measurement]:
    """Every probe of histories: the last ones are compared with what the first ones explain."""
    compared, known = labels.columns(row_history), []
    yield from length(labels, compared)
    for probe, module in FLAGS.items():
        known.append(labels.columns(module))
        (column,) = module.COLUMNS
        values = [part[column].to_numpy() for part in known[-1]]
        yield from labels.measure(probe, column, labels.by_value(values))
    steps = [part.select("h_length_step") for part in compared]
    explained = [pl.concat(parts, how="horizontal") for parts in zip(steps, *known, strict=True)]
    yield from within_user(labels, compared, explained)


def length(labels: Labels, compared: list[pl.DataFrame]) -> Iterator[Measurement]:
    """Whether a longer history than the same user's other rows' predicts the label."""
    steps = [np.round(part["h_length_step"].to_numpy() * 4) for part in compared]
    explanation = None
    if np.any(steps[0]):
        explanation = labels.by_trees(labels.columns(*MATCH), monotone_constraints=RISING)
    return labels.measure("history_length", "length", labels.by_value(steps), explanation)


def within_user(
    labels: Labels, compared: list[pl.DataFrame], explained: list[pl.DataFrame]
) -> Iterator[Measurement]:
    """Whether histories differ between a user's rows with the label, in no way named so far."""
    differ = any((part["h_alike"] < 1).any() for part in compared)
    scores = labels.by_trees(compared) if differ else [np.zeros(len(part)) for part in compared]
    explanation = labels.by_trees(explained) if differ else None
    return labels.measure("row_history", "history", scores, explanation)
