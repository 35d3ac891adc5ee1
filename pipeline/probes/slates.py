"""Slates: how many rows they have, how many clicks, and whether one click each is a design.

A slate is the rows of one split with equal user and history (features.slates). If labels were
independent with the rate p of their split, a slate of s rows would have exactly one click with
probability s p (1 - p)^(s - 1); the finding is a share of slates far above the mean of that.
"""

from collections.abc import Iterator

import numpy as np

from cv import leak_statistics
from features.slates import slate_numbers
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import Sample

MARGIN = 0.1  # of the share, above that of independent labels
LISTED = 5  # sizes, and numbers of clicks, that are named; the others are summed up


def describe(sample: Sample) -> dict:
    """The slates of a split, their sizes and clicks per slate: shares, the most frequent first."""
    size, clicks = counts(slate_numbers(sample.split), sample.split.label)
    described = {"slates": len(size), "rows": shares(size)}
    return described if clicks is None else described | {"clicks": shares(clicks)}


def one_click(sample: Sample) -> Iterator[Measurement]:
    """The share of slates of two or more rows with exactly one click; none if there are none."""
    number, label = slate_numbers(sample.split), sample.split.label
    size, clicks = counts(number, label)
    several = size > 1
    if not several.any():
        return
    user = np.empty(len(size), np.int64)
    user[number] = sample.split.user
    p, s = float(np.mean(label)), size[several]
    expected = float(np.mean(s * p * (1 - p) ** (s - 1)))
    hit = clicks[several] == 1
    measured = leak_statistics.measure_share(hit, user[several], expected + MARGIN)
    yield Measurement(probe="slate", column="clicks", where=sample.name, measured=measured)


def counts(number: np.ndarray, label: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows and clicks of each slate, int64 (S,) each; clicks are None without labels (N,)."""
    size = np.bincount(number)
    return size, None if label is None else np.bincount(number, label).astype(np.int64)


def shares(value: np.ndarray) -> dict[str, float]:
    """The share of slates with each value, the most frequent LISTED of them and "other"."""
    values, count = np.unique(value, return_counts=True)
    order = np.argsort(-count, kind="stable")
    named = {str(values[i]): round(float(count[i] / len(value)), 6) for i in order[:LISTED]}
    rest = float(count[order[LISTED:]].sum() / len(value))
    return named | ({"other": round(rest, 6)} if rest else {})


def as_text(described: dict[str, dict]) -> str:
    """One line: every split's sizes and clicks per slate, in percent."""
    return ". ".join(f"{name}, {_split(entry)}" for name, entry in described.items())


def _split(entry: dict) -> str:
    rows = f"{entry['slates']:,} slates; rows: {_percent(entry['rows'])}"
    return rows + (f"; clicks: {_percent(entry['clicks'])}" if "clicks" in entry else "")


def _percent(share: dict[str, float]) -> str:
    """Such as `1 in 67.5 %, 0 in 32.5 %`."""
    if len(share) == 1:
        return f"{next(iter(share))} in each"
    return ", ".join(f"{value} in {100 * part:.1f} %" for value, part in share.items())
