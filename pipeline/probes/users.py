"""Probes of users and of the order of the file, none of which may tell the label."""

from collections.abc import Iterator

from features.probe_columns import row_order, user_number
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels


def user_id(labels: Labels) -> Iterator[Measurement]:
    return labels.measure("user_id", "user_id", labels.by_trees(labels.columns(user_number)))


def order(labels: Labels) -> Iterator[Measurement]:
    columns = []
    for part in labels.parts:
        whole = row_order.describe(labels.store, getattr(labels.store, part.name))
        columns.append(whole[part.index])
    return labels.measure("row_order", "place", labels.by_trees(columns))
