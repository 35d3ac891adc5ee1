"""What 15_probe measures: columns that may leak the label, slates, shift, shared users, levels."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from features.store.schema import SPLITS
from features.store.store import Store
from pipeline.probes import histories, items, slates, splits, users
from pipeline.probes.measurement import Measurement, findings
from pipeline.probes.samples import Labels, Sample

STEPS = (
    items.items,
    users.user_id,
    users.row_count,
    users.order,
    histories.histories,
)


def probe(store: Store, progress: Callable[[list, str], Iterable]) -> dict:
    """probe.json: findings, all measurements, the slates, and the numbers of users and rows."""
    samples = [Sample.of(store, name) for name in SPLITS]
    labels = Labels.of(store)
    measurements = measure(store, samples, labels, progress)
    return {
        "users": {
            sample.name: {"of": len(np.unique(getattr(store, sample.name).user))}
            | {"probed": sample.n_users, "rows": len(sample.split)}
            for sample in samples
        },
        "slates": {sample.name: slates.describe(sample) for sample in samples},
        "labels_probed": labels is not None,
        "findings": [m.as_json() | {"text": m.as_text()} for m in findings(measurements)],
        "measured": [m.as_json() for m in measurements],
    }


def measure(
    store: Store,
    samples: list[Sample],
    labels: Labels | None,
    progress: Callable[[list, str], Iterable],
) -> list[Measurement]:
    """Every measurement; those of labels where there are users enough."""
    steps = progress(STEPS, "probes of labels") if labels else ()
    measurements = [m for step in steps for m in step(labels)]
    with_labels = [sample for sample in samples if sample.split.label is not None]
    measurements += [m for sample in with_labels for m in slates.one_click(sample)]
    pairs = list(itertools.combinations(samples, 2))
    shifts = [splits.shift(store, *pair) for pair in progress(pairs, "pairs of splits")]
    measurements += [shift for shift in shifts if shift]
    measurements += [splits.overlap(store, a.name, b.name) for a, b in pairs]
    measurements += [m for a, b in pairs if (m := splits.copied(store, a.name, b.name))]
    return measurements + [m for sample in samples for m in splits.mismatch(store, sample)]
