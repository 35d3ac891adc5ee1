"""Rows of a MicroLens release, made from its events.

positives  a user's last event (train: last `train_targets`), if an event came strictly before it
history    all events strictly before the positive; its negatives have the same history
negatives  items that the user has no event with; those of one positive are distinct
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from features import negatives
from features.errors import InputError
from features.settings import ReleaseSettings
from features.store.histories import mix
from features.store.schema import SPLITS

NEGATIVES = {
    "popularity": 1.0,
    "mixed": 0.5,
    "uniform": 0.0,
}  # by settings: the share drawn by popularity


class Events(NamedTuple):
    """All events, sorted by user, then time, then item; every array is (E,) int64."""

    user: np.ndarray
    item: np.ndarray
    split: np.ndarray  # of the user: index into SPLITS
    start: np.ndarray  # index of the user's first event
    end: np.ndarray  # index of the user's first event that is not strictly earlier than this one
    later: np.ndarray  # events of the user that are sorted after this one


class ReleaseRows(NamedTuple):
    """Rows of one split, shuffled; every array is (N,) int64."""

    target: np.ndarray  # index of the event whose user and history the row has
    item: np.ndarray
    label: np.ndarray


def user_split(user: np.ndarray, settings: ReleaseSettings) -> np.ndarray:
    """Index into SPLITS int64 (N,), by a hash of the user id and the seed only."""
    hashed = mix(user.astype(np.uint64) + mix(np.array([settings.seed + 1], np.uint64)))
    uniform = (hashed >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    borders = 1 - settings.valid_share - settings.test_share, 1 - settings.test_share
    return np.searchsorted(borders, uniform, side="right")


def sort_events(pairs: pl.DataFrame, settings: ReleaseSettings) -> Events:
    """Events of pairs (user, item, time) in any order; equal times are ordered by item id."""
    pairs = pairs.sort("user", "time", "item")
    user, item, time = (pairs[name].to_numpy() for name in ("user", "item", "time"))
    new_user = np.append(True, user[1:] != user[:-1])
    new_time = np.append(True, time[1:] != time[:-1]) | new_user
    place = np.arange(len(user))
    starts = np.flatnonzero(new_user)
    size = np.diff(np.append(starts, len(user)))
    return Events(
        user=user,
        item=item,
        split=user_split(user, settings),
        start=np.repeat(starts, size),
        end=np.maximum.accumulate(np.where(new_time, place, 0)),
        later=np.repeat(starts + size, size) - 1 - place,
    )


def split_rows(events: Events, split: str, settings: ReleaseSettings) -> ReleaseRows:
    """Positives of one split's users and their negatives, in random order."""
    number, last = SPLITS.index(split), settings.train_targets if split == "train" else 1
    positive = (events.split == number) & (events.later < last) & (events.end > events.start)
    target = np.flatnonzero(positive)
    if not len(target):
        raise InputError(
            f"no user of {split} has an event with another strictly before it;"
            " use more users, another data.seed or other shares"
        )
    rng = np.random.default_rng([settings.seed, number])
    item = np.column_stack([events.item[target], draw_negatives(events, target, settings, rng)])
    label = np.zeros(item.shape, np.int64)
    label[:, 0] = 1
    order = rng.permutation(item.size)
    return ReleaseRows(
        np.repeat(target, item.shape[1])[order], item.ravel()[order], label.ravel()[order]
    )


def draw_negatives(
    events: Events, target: np.ndarray, settings: ReleaseSettings, rng: np.random.Generator
) -> np.ndarray:
    """Item ids int64 (T, K) for T events: distinct in a row, none with an event of its user.

    Raises InputError if a user leaves fewer than K items.
    """
    popular = events.item[events.split == SPLITS.index("train")]  # each as often as it occurs
    listed = np.unique(events.item)
    recipe = negatives.Recipe(NEGATIVES[settings.negatives], popular, listed)
    own = negatives.Pairs.of(events.user, events.item, listed[-1] + 1)
    user, k = events.user[target], settings.negatives_per_positive
    left = recipe.left(user, own)
    if left.min() < k:
        raise InputError(
            f"user {user[left.argmin()]} leaves {left.min()} items to draw negatives from; expected"
            f" {k}: lower data.negatives_per_positive or set data.negatives=uniform"
        )
    return negatives.draw(recipe, user, k, own, rng)


def padded_history(events: Events, target: np.ndarray, width: int) -> np.ndarray:
    """int32 (T, width): items strictly before each target event, left-padded, most recent last."""
    place = events.end[target, None] + np.arange(-width, 0)
    real = place >= events.start[target, None]
    return np.where(real, events.item[np.maximum(place, 0)], 0).astype(np.int32)
