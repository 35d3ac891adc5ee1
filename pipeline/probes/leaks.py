"""What 15_probe measures: every column that could leak, shift, overlap of users, levels."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields

import numpy as np
import polars as pl

from cv import leaks, trees
from cv.folds import grouped_folds
from cv.leaks import Measured
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

USERS = 50_000  # of each split, at most: what LightGBM and the bootstrap get to see
FOLDS = 5

MATCH = (content_similarity, tag_overlap)
RISING = [1] * sum(len(module.COLUMNS) for module in MATCH)  # a better match speaks for a click
SHIFTING = (history_length, row_levels, history_popularity, *MATCH)  # ids tell splits by design

MESSAGES = {  # what was found, and what to do
    "item_id": (
        "the item id tells the label beyond popularity and levels, AUC",
        "clicks and non-clicks seem drawn from different items: compare models, trust no level",
    ),
    "level": (
        "{column} tells the label beyond popularity, AUC",
        "these clicks may be counted in it, or clicks and non-clicks drawn from different items",
    ),
    "history_length": (
        "the length of the history tells the label beyond what matches it, AUC",
        "look whether histories of clicks were cut elsewhere than those of others",
    ),
    "user_id": (
        "the number of the user tells the label, AUC",
        "ids follow labels: leave <model>.user_id off and the id out of features",
    ),
    "target_in_history": (
        "the target standing in its own history tells the label, AUC",
        "cut histories strictly before the row's own event",
    ),
    "row_order": (
        "the place in the file tells the label, AUC",
        "shuffle the rows, and use no row number as a feature",
    ),
    "shift": (
        "trees tell {where} apart, AUC",
        "mostly by {top}: scores on one say less of the other",
    ),
    "user_overlap": (
        "share of {where}",
        "folds hold whole users, so CV judges new users alone: do not compare it with this split",
    ),
    "level_mismatch": (
        "share of rows whose {column} is not their item's",
        "levels may be of the row's own time: do not put item levels in their place",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement of one column in one split, or in a pair of them."""

    probe: str
    column: str
    where: str
    measured: Measured
    top: dict[str, float] | None = None  # columns by their share of the trees' gain

    def as_json(self) -> dict:
        m = self.measured
        read = {"name": self.probe, "column": self.column, "where": self.where}
        read |= {name: round(value, 6) for name, value in asdict(m).items()}
        return read | ({"top": self.top} if self.top else {})

    def as_text(self) -> str:
        """One line: what was found, the figure with its interval, what to do."""
        m = self.measured
        what, remedy = MESSAGES[self.probe]
        words = {"column": self.column, "where": self.where, "top": ", ".join(self.top or ())}
        where = "" if "{where}" in what else f" on {self.where}"
        return (
            f"{self.probe}: {what.format(**words)} {m.figure:.3f} ({m.low:.3f} to {m.high:.3f})"
            f"{where}, expected {m.threshold:.3f} at most; {remedy.format(**words)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The rows of some users of a split; `place` (n,) says which rows of it they are."""

    name: str
    split: Split
    place: np.ndarray

    @classmethod
    def of(cls, store: Store, name: str, strangers_to: np.ndarray | None = None) -> "Sample":
        """At most USERS users of a split, drawn with a fixed seed; none of `strangers_to`."""
        split = getattr(store, name)
        users = np.unique(split.user)
        if strangers_to is not None:
            users = np.setdiff1d(users, strangers_to)
        if len(users) > USERS:
            users = np.random.default_rng(0).choice(users, USERS, replace=False)
        place = np.flatnonzero(np.isin(split.user, users))
        columns = {f.name: getattr(split, f.name) for f in fields(Split)}
        taken = {n: None if c is None else np.asarray(c[place]) for n, c in columns.items()}
        return cls(name=name, split=Split(**taken), place=place)

    @property
    def n_users(self) -> int:
        return len(np.unique(self.split.user))

    def columns(self, store: Store, modules: Iterable) -> pl.DataFrame:
        """What `modules` describe of the rows."""
        parts = [module.describe(store, self.split) for module in modules]
        return pl.concat(parts, how="horizontal")


@dataclass(frozen=True, slots=True)
class Labels:
    """Train and, by users that are not in it, official valid; and what columns tell of the labels.

    Lists hold an array for each of `parts`: train's by other folds, valid's by all of train.
    """

    store: Store
    parts: list[Sample]
    fold: np.ndarray  # of train's rows

    @classmethod
    def of(cls, store: Store) -> "Labels":
        train = Sample.of(store, "train")
        fold = grouped_folds(train.split.user, train.split.label, FOLDS, seed=0)
        valid = Sample.of(store, "valid", strangers_to=np.unique(store.train.user))
        both_classes = len(np.unique(valid.split.label)) == 2
        return cls(store, [train, valid] if both_classes else [train], fold)

    def values(self, column: str) -> list[np.ndarray]:
        """A column of the store's rows."""
        return [getattr(part.split, column) for part in self.parts]

    def columns(self, *modules) -> list[pl.DataFrame]:
        return [part.columns(self.store, modules) for part in self.parts]

    def by_trees(self, columns: list[pl.DataFrame], **changed) -> list[np.ndarray]:
        """The probability by trees on columns."""
        train, *others = columns
        label = self.parts[0].split.label
        inside, _ = trees.out_of_fold(train, label, self.fold, **changed)
        return [inside, *(trees.elsewhere(train, label, other, **changed) for other in others)]

    def by_value(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """The smoothed mean label of other users' rows with the same value."""
        train, *others = values
        return leaks.by_value(train, self.parts[0].split.label, self.fold, others)

    def read(
        self, probe: str, column: str, scores: list, honest: list | None = None
    ) -> Iterator[Measurement]:
        """The AUC of scores, each against what the probability `honest` expects of it."""
        for i, part in enumerate(self.parts):
            p = None if honest is None else honest[i]
            measured = leaks.tells(part.split.label, scores[i], part.split.user, p)
            yield Measurement(probe=probe, column=column, where=part.name, measured=measured)


def probe(store: Store, progress: Callable[[list, str], Iterable]) -> dict:
    """What 15_probe writes: findings by name, everything measured, and of how many users."""
    samples = [Sample.of(store, name) for name in SPLITS]
    readings = measure(store, samples, progress)
    return {
        "users": {
            sample.name: {"of": len(np.unique(getattr(store, sample.name).user))}
            | {"probed": sample.n_users, "rows": len(sample.split)}
            for sample in samples
        },
        "findings": [r.as_json() | {"text": r.as_text()} for r in findings(readings)],
        "measured": [r.as_json() for r in readings],
    }


def measure(
    store: Store, samples: list[Sample], progress: Callable[[list, str], Iterable]
) -> list[Measurement]:
    """Every reading, in the order of SAID."""
    labels = Labels.of(store)
    steps = (item_id, levels, length, user_id, in_history, order)
    readings = [r for step in progress(steps, "15_probe labels") for r in step(labels)]
    pairs = list(itertools.combinations(samples, 2))
    apart = [pair for pair in pairs if min(sample.n_users for sample in pair) >= FOLDS]
    readings += [shift(store, *pair) for pair in progress(apart, "15_probe shift")]
    readings += [overlap(store, a.name, b.name) for a, b in pairs]
    return readings + [r for sample in samples for r in mismatch(store, sample)]


def findings(readings: list[Measurement]) -> list[Measurement]:
    """Of each probe that found something, the reading that stands furthest above its threshold."""
    crossed = [r for r in readings if r.measured.crossed]
    crossed.sort(key=lambda r: r.measured.low - r.measured.threshold, reverse=True)
    worst = {}
    for reading in crossed:
        worst.setdefault(reading.probe, reading)
    return [worst[name] for name in MESSAGES if name in worst]


def item_id(labels: Labels) -> Iterator[Measurement]:
    rising = {"monotone_constraints": [1, 1, 0, 0]}  # popularity, not levels
    honest = labels.by_trees(
        labels.columns(history_popularity, row_levels), **trees.ADDITIVE, **rising
    )
    return labels.read("item_id", "item_id", labels.by_value(labels.values("item")), honest)


def levels(labels: Labels) -> Iterator[Measurement]:
    rising = {"monotone_constraints": [1, 1]}
    honest = labels.by_trees(labels.columns(history_popularity), **trees.ADDITIVE, **rising)
    for name in ("likes", "views"):
        scores = labels.by_value(labels.values(name))
        yield from labels.read("level", f"{name}_level", scores, honest)


def length(labels: Labels) -> Iterator[Measurement]:
    values = [c["h_length"].to_numpy() for c in labels.columns(history_length)]
    honest = labels.by_trees(labels.columns(*MATCH), monotone_constraints=RISING)
    return labels.read("history_length", "length", labels.by_value(values), honest)


def user_id(labels: Labels) -> Iterator[Measurement]:
    return labels.read("user_id", "user_id", labels.by_trees(labels.columns(user_number)))


def in_history(labels: Labels) -> Iterator[Measurement]:
    values = [c["ui_in_history"].to_numpy() for c in labels.columns(target_in_history)]
    return labels.read("target_in_history", "ui_in_history", labels.by_value(values))


def order(labels: Labels) -> Iterator[Measurement]:
    places = []
    for part in labels.parts:
        whole = row_order.describe(labels.store, getattr(labels.store, part.name))
        places.append(whole[part.place])
    return labels.read("row_order", "place", labels.by_trees(places))


def shift(store: Store, a: Sample, b: Sample) -> Measurement:
    """How well trees tell two splits apart, by what their rows hold besides ids and labels."""
    columns = pl.concat([sample.columns(store, SHIFTING) for sample in (a, b)])
    label = np.repeat(np.array([0, 1], np.uint8), [len(a.split), len(b.split)])
    user = np.concatenate([a.split.user, b.split.user])
    score, gain = trees.out_of_fold(columns, label, grouped_folds(user, label, FOLDS, seed=0))
    top = {name: round(part, 4) for name, part in itertools.islice(gain.items(), 3)}
    measured = leaks.tells(label, score, user)
    where = f"{a.name} and {b.name}"
    return Measurement(probe="shift", column="rows", where=where, measured=measured, top=top)


def overlap(store: Store, a: str, b: str) -> Measurement:
    """The share of the later split's users that the earlier one has as well."""
    ours, theirs = (np.unique(getattr(store, name).user) for name in (a, b))
    measured = leaks.share(np.isin(theirs, ours), theirs)
    where = f"{b}'s users that are {a}'s too"
    return Measurement(probe="user_overlap", column="user_id", where=where, measured=measured)


def mismatch(store: Store, sample: Sample) -> Iterator[Measurement]:
    for name, other in sample.columns(store, [level_mismatch]).to_dict().items():
        column = f"{name.split('_')[1]}_level"
        measured = leaks.share(other.to_numpy(), sample.split.user)
        yield Measurement(
            probe="level_mismatch", column=column, where=sample.name, measured=measured
        )
