"""The rows that 15_probe reads: all rows of some users of a split, and the parts with labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from cv import leak_statistics, probe_trees
from cv.folds import folds_up_to
from features.store.store import Split, Store
from pipeline.probes.measurement import Measurement

USERS = 50_000  # of each split, at most, that LightGBM and the bootstrap see
FOLDS = 5
COPIED_ITEMS = 4  # shorter histories may be equal by chance


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
    """Train, and official valid without train's users or copies of them, and what predicts labels.

    Lists hold an array for each of `parts`: train's is fitted on the other folds, valid's on all of
    train.
    """

    store: Store
    parts: list[Sample]
    fold: np.ndarray  # of train's rows

    @classmethod
    def of(cls, store: Store) -> "Labels | None":
        """None where the users of train do not make two folds with both labels each."""
        train = Sample.of(store, "train")
        fold = folds_up_to(train.split.user, train.split.label, FOLDS, seed=0)
        if fold is None:
            return None
        _, copied = copies(store, store.train, store.valid)
        valid = Sample.of(store, "valid", excluded=np.union1d(store.train.user, copied))
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

    def rate_by_value(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """The click probability that `by_value` expects."""
        rate = self.parts[0].split.label.mean()
        return [np.clip(score + rate, 1e-6, 1 - 1e-6) for score in self.by_value(values)]

    def measure(
        self,
        probe: str,
        column: str,
        scores: list,
        explanation: list | None = None,
        known: list[float] | None = None,
    ) -> Iterator[Measurement]:
        """The AUC of scores, each compared with what the probability `explanation` expects.

        known: AUCs that were found before.
        """
        for i, part in enumerate(self.parts):
            p = None if explanation is None else explanation[i]
            rows, base = part.split, 0.5 if known is None else known[i]
            measured = leak_statistics.measure_auc(rows.label, scores[i], rows.user, p, base)
            yield Measurement(probe=probe, column=column, where=part.name, measured=measured)


def copies(store: Store, one: Split, other: Split) -> tuple[np.ndarray, np.ndarray]:
    """Users of the split `other` that `one` lacks, and those of them with a history of `one`."""
    user, history = np.asarray(other.user), np.asarray(other.history)
    new = ~np.isin(user, one.user)
    long = np.diff(store.offsets)[history] >= COPIED_ITEMS
    hit = new & long & np.isin(history, one.history)
    return np.unique(user[new]), np.unique(user[hit])
