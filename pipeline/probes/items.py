"""Probes of items: does the label follow how items were drawn, or does the item table know it?"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from cv import probe_linear, probe_trees
from cv.leak_statistics import PRIOR
from features.columns import row_levels
from features.probe_columns import history_popularity, tag_order
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Labels


def items(labels: Labels) -> Iterator[Measurement]:
    """Every probe of items; what the item table knows is compared with the item's own rate too."""
    known = labels.columns(history_popularity, row_levels)
    rates = labels.by_value(labels.values("item"))
    yield from item_id(labels, known, rates)
    yield from levels(labels, known)
    yield from never_clicked(labels)
    tags = labels.columns(tag_order)
    known = [
        part.with_columns(tag["i_tags"], rate=rate)
        for part, tag, rate in zip(known, tags, rates, strict=True)
    ]
    explanation = labels.by_trees(known, **probe_trees.ADDITIVE)
    yield from labels.measure("tag_order", "item_tags", labels.by_trees(tags), explanation)
    yield from content(labels, explanation)


def item_id(labels: Labels, known: list[pl.DataFrame], rates: list) -> Iterator[Measurement]:
    rising = {"monotone_constraints": [1, 1, 0, 0]}  # popularity, not levels
    explanation = labels.by_trees(known, **probe_trees.ADDITIVE, **rising)
    return labels.measure("item_id", "item_id", rates, explanation)


def levels(labels: Labels, known: list[pl.DataFrame]) -> Iterator[Measurement]:
    popularity = [part.select(*history_popularity.COLUMNS) for part in known]
    rising = {"monotone_constraints": [1, 1]}
    explanation = labels.by_trees(popularity, **probe_trees.ADDITIVE, **rising)
    for name in ("likes", "views"):
        scores = labels.by_value(labels.values(name))
        yield from labels.measure("level", f"{name}_level", scores, explanation)


def never_clicked(labels: Labels) -> Iterator[Measurement]:
    """Items that stand in no history, beyond what the least popular of the others lead to expect.

    Popularity alone would explain the leak by the leak itself: these items are its lowest value. So
    they are expected to be clicked like items with one entry.
    """
    entries = np.bincount(labels.store.values, minlength=len(labels.store.items))
    counts = [entries[item] for item in labels.values("item")]
    scores = labels.by_value([count == 0 for count in counts])
    label, step = labels.parts[0].split.label, [_step(count) for count in counts]
    rate, in_histories = label.mean(), counts[0] > 0
    clicks, rows = (
        np.bincount(step[0][in_histories], weight, minlength=64)
        for weight in (label[in_histories], None)
    )
    explanation = [((clicks + PRIOR * rate) / (rows + PRIOR))[s] for s in step]
    measured = labels.measure("never_clicked", "item_id", scores, explanation)
    for measurement, part, count in zip(measured, labels.parts, counts, strict=True):
        never, clicked = count == 0, part.split.label == 1
        note = f"{100 * never[clicked].mean():.1f} % of clicks"
        note += f" and {100 * never[~clicked].mean():.1f} % of non-clicks"
        yield measurement.with_note(note)


def _step(count: np.ndarray) -> np.ndarray:
    """Whole powers of two of a number of entries; none counts as one entry."""
    return np.log2(np.maximum(count, 1)).astype(np.int64)


def content(labels: Labels, explanation: list) -> Iterator[Measurement]:
    """Content vectors: their signs, and then their values beyond what the signs tell."""
    vectors = np.asarray(labels.store.items.content)
    train, *others = labels.values("item")
    fitted = train, labels.parts[0].split.label, labels.fold, others
    towards_mean = vectors @ vectors.mean(0)  # its sign finds vectors that are turned round
    signs = probe_linear.scores(np.sign(np.column_stack([vectors, towards_mean])), *fitted)
    of_signs = list(labels.measure("content_sign", "content", signs, explanation))
    yield from of_signs
    known = [max(m.measured.figure, 0.5) for m in of_signs]
    values = probe_linear.scores(vectors, *fitted)
    yield from labels.measure("content_rate", "content", values, explanation, known)
