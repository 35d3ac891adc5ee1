"""Probes of users and of the order of the file, none of which may tell the label."""

from collections.abc import Iterator

import numpy as np

from cv import residues
from features.probe_columns import row_order, user_number
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels


def user_id(labels: Labels) -> Iterator[Measurement]:
    """The remainder of the user id by a number from 2 to 64; the id itself beyond that."""
    train, *others = labels.values("user")
    label = labels.parts[0].split.label
    scores, chosen = residues.scores(train, label, labels.fold, others)
    yield from labels.measure("user_modulo", f"user_id modulo {chosen}", scores)
    explanation = [np.clip(label.mean() + score, 1e-6, 1 - 1e-6) for score in scores]
    by_number = labels.by_trees(labels.columns(user_number))
    yield from labels.measure("user_id", "user_id", by_number, explanation)


def rows_of_user(labels: Labels) -> list[np.ndarray]:
    """How many rows the user of each row has."""
    counted = [np.unique(u, return_inverse=True, return_counts=True) for u in labels.values("user")]
    return [count[user] for _, user, count in counted]


def row_count(labels: Labels) -> Iterator[Measurement]:
    return labels.measure("user_rows", "rows of the user", labels.by_value(rows_of_user(labels)))


def order(labels: Labels) -> Iterator[Measurement]:
    """The position in the file, beyond how many rows the user has."""
    columns = []
    for part in labels.parts:
        whole = row_order.describe(labels.store, getattr(labels.store, part.name))
        columns.append(whole[part.index])
    explanation = labels.rate_by_value(rows_of_user(labels))
    return labels.measure("row_order", "place", labels.by_trees(columns), explanation)
