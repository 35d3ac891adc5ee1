"""Probes of histories: what a history must not tell of the rows that it stands in."""

from collections.abc import Iterator

from features.columns import content_similarity, history_length, tag_overlap
from features.probe_columns import target_in_history
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels

MATCH = (content_similarity, tag_overlap)
RISING = [1] * sum(len(module.COLUMNS) for module in MATCH)  # a better match, more clicks


def length(labels: Labels) -> Iterator[Measurement]:
    values = [c["h_length"].to_numpy() for c in labels.columns(history_length)]
    explanation = labels.by_trees(labels.columns(*MATCH), monotone_constraints=RISING)
    return labels.measure("history_length", "length", labels.by_value(values), explanation)


def in_history(labels: Labels) -> Iterator[Measurement]:
    values = [c["ui_in_history"].to_numpy() for c in labels.columns(target_in_history)]
    return labels.measure("target_in_history", "ui_in_history", labels.by_value(values))
