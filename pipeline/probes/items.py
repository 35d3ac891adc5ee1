"""Probes of items: does the label follow who was drawn, more than what users like?"""

from collections.abc import Iterator

from cv import probe_trees
from features.columns import row_levels
from features.probe_columns import history_popularity
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels


def item_id(labels: Labels) -> Iterator[Measurement]:
    rising = {"monotone_constraints": [1, 1, 0, 0]}  # popularity, not levels
    explanation = labels.by_trees(
        labels.columns(history_popularity, row_levels), **probe_trees.ADDITIVE, **rising
    )
    scores = labels.by_value(labels.values("item"))
    return labels.measure("item_id", "item_id", scores, explanation)


def levels(labels: Labels) -> Iterator[Measurement]:
    rising = {"monotone_constraints": [1, 1]}
    explanation = labels.by_trees(
        labels.columns(history_popularity), **probe_trees.ADDITIVE, **rising
    )
    for name in ("likes", "views"):
        scores = labels.by_value(labels.values(name))
        yield from labels.measure("level", f"{name}_level", scores, explanation)
