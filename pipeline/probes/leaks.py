"""What 15_probe measures: columns that may leak the label, shift, shared users, levels."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from cv import leak_statistics, probe_trees
from cv.folds import grouped_folds
from features.columns import content_similarity, history_length, row_levels, tag_overlap
from features.probe_columns import (
    history_popularity,
    level_mismatch,
    row_order,
    target_in_history,
    user_number,
)
from features.store.schema import SPLITS
from features.store.store import Split, Store
from pipeline.probes.measurement import Measurement, findings

USERS = 50_000  # of each split, at most, that LightGBM and the bootstrap see
FOLDS = 5

MATCH = (content_similarity, tag_overlap)
RISING = [1] * sum(len(module.COLUMNS) for module in MATCH)  # a better match, more clicks
SHIFTING = (history_length, row_levels, history_popularity, *MATCH)  # ids differ by design


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All rows of some users of a split; `index` (n,) int64 is their position in it."""

    name: str
    split: Split
    index: np.ndarray

    @classmethod
    def of(cls, store: Store, name: str, excluded: np.ndarray | None = None) -> "Sample":
        """At most USERS users of a split, drawn with a fixed seed; none of `excluded`."""
        split = getattr(store, name)
        users = np.unique(split.user)
        if excluded is not None:
            users = np.setdiff1d(users, excluded)
        if len(users) > USERS:
            users = np.random.default_rng(0).choice(users, USERS, replace=False)
        index = np.flatnonzero(np.isin(split.user, users))
        columns = {f.name: getattr(split, f.name) for f in fields(Split)}
        sampled = {n: None if c is None else np.asarray(c[index]) for n, c in columns.items()}
        return cls(name=name, split=Split(**sampled), index=index)

    @property
    def n_users(self) -> int:
        return len(np.unique(self.split.user))

    def columns(self, store: Store, modules: Iterable) -> pl.DataFrame:
        """The columns of `modules` for the rows."""
        parts = [module.describe(store, self.split) for module in modules]
        return pl.concat(parts, how="horizontal")


@dataclass(frozen=True, slots=True)
class Labels:
    """Train, and official valid without train's users; how well columns predict their labels.

    Lists hold an array for each of `parts`: train's is fitted on the other folds, valid's on all of
    train.
    """

    store: Store
    parts: list[Sample]
    fold: np.ndarray  # of train's rows

    @classmethod
    def of(cls, store: Store) -> "Labels":
        train = Sample.of(store, "train")
        fold = grouped_folds(train.split.user, train.split.label, FOLDS, seed=0)
        valid = Sample.of(store, "valid", excluded=np.unique(store.train.user))
        both_classes = len(np.unique(valid.split.label)) == 2
        return cls(store, [train, valid] if both_classes else [train], fold)

    def values(self, column: str) -> list[np.ndarray]:
        """A column of the store's rows."""
        return [getattr(part.split, column) for part in self.parts]

    def columns(self, *modules) -> list[pl.DataFrame]:
        return [part.columns(self.store, modules) for part in self.parts]

    def by_trees(self, columns: list[pl.DataFrame], **parameters) -> list[np.ndarray]:
        """The click probability that trees predict from columns."""
        train, *others = columns
        label = self.parts[0].split.label
        train_score, _ = probe_trees.out_of_fold(train, label, self.fold, **parameters)
        outside = [probe_trees.fit_predict(train, label, other, **parameters) for other in others]
        return [train_score, *outside]

    def by_value(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """The smoothed mean label of other users' rows with the same value."""
        train, *others = values
        return leak_statistics.smoothed_label_means(
            train, self.parts[0].split.label, self.fold, others
        )

    def measure(
        self, probe: str, column: str, scores: list, explanation: list | None = None
    ) -> Iterator[Measurement]:
        """The AUC of scores, each compared with what the probability `explanation` expects."""
        for i, part in enumerate(self.parts):
            p = None if explanation is None else explanation[i]
            measured = leak_statistics.measure_auc(part.split.label, scores[i], part.split.user, p)
            yield Measurement(probe=probe, column=column, where=part.name, measured=measured)


def probe(store: Store, progress: Callable[[list, str], Iterable]) -> dict:
    """probe.json: findings, all measurements, and the numbers of users and rows."""
    samples = [Sample.of(store, name) for name in SPLITS]
    measurements = measure(store, samples, progress)
    return {
        "users": {
            sample.name: {"of": len(np.unique(getattr(store, sample.name).user))}
            | {"probed": sample.n_users, "rows": len(sample.split)}
            for sample in samples
        },
        "findings": [m.as_json() | {"text": m.as_text()} for m in findings(measurements)],
        "measured": [m.as_json() for m in measurements],
    }


def measure(
    store: Store, samples: list[Sample], progress: Callable[[list, str], Iterable]
) -> list[Measurement]:
    """Every measurement, in the order of MESSAGES."""
    labels = Labels.of(store)
    steps = (item_id, levels, length, user_id, in_history, order)
    measurements = [m for step in progress(steps, "15_probe labels") for m in step(labels)]
    pairs = list(itertools.combinations(samples, 2))
    large = [pair for pair in pairs if min(sample.n_users for sample in pair) >= FOLDS]
    measurements += [shift(store, *pair) for pair in progress(large, "15_probe shift")]
    measurements += [overlap(store, a.name, b.name) for a, b in pairs]
    return measurements + [m for sample in samples for m in mismatch(store, sample)]


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


def length(labels: Labels) -> Iterator[Measurement]:
    values = [c["h_length"].to_numpy() for c in labels.columns(history_length)]
    explanation = labels.by_trees(labels.columns(*MATCH), monotone_constraints=RISING)
    return labels.measure("history_length", "length", labels.by_value(values), explanation)


def user_id(labels: Labels) -> Iterator[Measurement]:
    return labels.measure("user_id", "user_id", labels.by_trees(labels.columns(user_number)))


def in_history(labels: Labels) -> Iterator[Measurement]:
    values = [c["ui_in_history"].to_numpy() for c in labels.columns(target_in_history)]
    return labels.measure("target_in_history", "ui_in_history", labels.by_value(values))


def order(labels: Labels) -> Iterator[Measurement]:
    columns = []
    for part in labels.parts:
        whole = row_order.describe(labels.store, getattr(labels.store, part.name))
        columns.append(whole[part.index])
    return labels.measure("row_order", "place", labels.by_trees(columns))


def shift(store: Store, a: Sample, b: Sample) -> Measurement:
    """How well trees tell two splits apart by columns other than ids and labels."""
    columns = pl.concat([sample.columns(store, SHIFTING) for sample in (a, b)])
    label = np.repeat(np.array([0, 1], np.uint8), [len(a.split), len(b.split)])
    user = np.concatenate([a.split.user, b.split.user])
    score, gain = probe_trees.out_of_fold(columns, label, grouped_folds(user, label, FOLDS, seed=0))
    top = {name: round(part, 4) for name, part in itertools.islice(gain.items(), 3)}
    measured = leak_statistics.measure_auc(label, score, user)
    where = f"{a.name} and {b.name}"
    return Measurement(probe="shift", column="rows", where=where, measured=measured, top=top)


def overlap(store: Store, a: str, b: str) -> Measurement:
    """The share of the users of `b` that `a` has as well."""
    users, others = (np.unique(getattr(store, name).user) for name in (a, b))
    measured = leak_statistics.measure_share(np.isin(others, users), others)
    where = f"{b}'s users that are also in {a}"
    return Measurement(probe="user_overlap", column="user_id", where=where, measured=measured)


def mismatch(store: Store, sample: Sample) -> Iterator[Measurement]:
    """The share of rows whose level differs from their item's."""
    for name, other in sample.columns(store, [level_mismatch]).to_dict().items():
        column = f"{name.split('_')[1]}_level"
        measured = leak_statistics.measure_share(other.to_numpy(), sample.split.user)
        yield Measurement(
            probe="level_mismatch", column=column, where=sample.name, measured=measured
        )
