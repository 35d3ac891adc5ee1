"""Probes of the splits: do they differ, do they share users, do rows differ from their items?"""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl

from cv import leak_statistics, probe_trees
from cv.folds import folds_up_to
from features.columns import history_length, row_levels
from features.probe_columns import history_popularity, level_mismatch
from features.store.store import Store
from pipeline.probes.histories import MATCH
from pipeline.probes.measurement import Measurement
from pipeline.probes.samples import FOLDS, Sample, copies

SHIFTING = (history_length, row_levels, history_popularity, *MATCH)  # ids differ by design


def shift(store: Store, a: Sample, b: Sample) -> Measurement | None:
    """How well trees tell two splits apart by columns other than ids and labels.

    None where either has fewer users than FOLDS, or their users make no folds.
    """
    columns = pl.concat([sample.columns(store, SHIFTING) for sample in (a, b)])
    label = np.repeat(np.array([0, 1], np.uint8), [len(a.split), len(b.split)])
    user = np.concatenate([a.split.user, b.split.user])
    fold = folds_up_to(user, label, FOLDS, seed=0)
    if fold is None or min(a.n_users, b.n_users) < FOLDS:
        return None
    score, gain = probe_trees.out_of_fold(columns, label, fold)
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


def copied(store: Store, a: str, b: str) -> Measurement | None:
    """The share of the users of `b` alone with a history of `a`: they may be users of `a`."""
    users, found = copies(store, getattr(store, a), getattr(store, b))
    if not len(users):
        return None
    measured = leak_statistics.measure_share(np.isin(users, found), users)
    where = f"{b}'s users with a history of {a} under another id"
    return Measurement(probe="user_copy", column="history", where=where, measured=measured)


def mismatch(store: Store, sample: Sample) -> Iterator[Measurement]:
    """The share of rows whose level differs from their item's."""
    for name, other in sample.columns(store, [level_mismatch]).to_dict().items():
        column = f"{name.split('_')[1]}_level"
        measured = leak_statistics.measure_share(other.to_numpy(), sample.split.user)
        yield Measurement(
            probe="level_mismatch", column=column, where=sample.name, measured=measured
        )
