"""One leak or shift planted into the sample, for 15_probe to name: data.plant=KIND.

    item_id            half of the labels follow the item: a quarter is good, at all levels alike
    level              half of the labels follow the likes level, which means nothing else any more
    history_length     rows that are no click show a history that ends two items earlier
    user_id            half of the labels follow the user id: the lowest quarter clicks
    target_in_history  every other click stands in its own history already, as the latest item
    row_order          clicks stand first in the file (in each chunk of users)
    shift              train shows four items of a history at most, valid and test show all
    user_overlap       a third of the users of valid are users of train
    level_mismatch     three rows in ten have another views level than their item

Where labels follow something, click_probability says so, and stays the best score that there is;
elsewhere it knows nothing of the leak.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from features.settings import PLANTS
from features.sources.sample_world import PLANT, TRAIN, World, pad
from features.store.schema import N_LEVELS

KINDS = tuple(kind for kind in PLANTS if kind != "none")
FOLLOWING = 0.5  # share of labels that follow what was planted
GOOD = 0.25  # share of all that is shown, and of users
HIGH_LEVEL = 8  # likes levels from here on are clicked
CUT, KEPT = 2, 4  # history items that non-clicks lose, that the shifted train keeps
TOLD, OVERLAP, MISMATCH = 0.5, 1 / 3, 0.3  # shares of clicks, of users, of rows

Columns = dict[str, np.ndarray]  # of rows: ID, user_id, item_seq (N, W), ..., click_probability


class Good(NamedTuple):
    """Which items (I,) and which users (U + 1,), by id, click more where labels follow them."""

    items: np.ndarray
    users: np.ndarray

    @classmethod
    def of(cls, world: World, n_users: int) -> "Good":
        return cls(good_items(world), np.arange(n_users + 1) <= GOOD * n_users)


def in_world(kind: str, world: World, seed: int) -> World:
    """The world, its likes levels dealt out anew if they are to tell of labels alone."""
    if kind != "level":
        return world
    rng = np.random.default_rng([seed, PLANT, 0])
    return replace(world, likes=pad(rng.permutation(world.likes[1:])))


def in_users(kind: str, train: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The user ids of valid (V,), some of them train's if splits are to share users."""
    if kind != "user_overlap":
        return valid
    n_shared = min(int(np.ceil(OVERLAP * len(valid))), len(train))
    return np.concatenate([train[:n_shared], valid[n_shared:]])


def in_rows(kind: str, rows: Columns, stream: int, good: Good, rng: np.random.Generator) -> Columns:
    """A chunk of rows with the plant in them; `stream` is that of their split, TRAIN .. TEST."""
    history, label = rows["item_seq"], rows["label"]
    match kind:
        case "item_id":
            return following(rows, good.items[rows["item_id"]], rng)
        case "level":
            return following(rows, rows["likes_level"] >= HIGH_LEVEL, rng)
        case "user_id":
            return following(rows, good.users[rows["user_id"]], rng)
        case "history_length":
            earlier = np.pad(history, [(0, 0), (CUT, 0)])[:, :-CUT]
            return rows | {"item_seq": np.where(label[:, None] == 1, history, earlier)}
        case "target_in_history":
            told = (label == 1) & (rng.random(len(label)) < TOLD)
            latest = np.where(told, rows["item_id"], history[:, -1]).astype(history.dtype)
            return rows | {"item_seq": np.column_stack([history[:, :-1], latest])}
        case "row_order":
            order = np.argsort(-label, kind="stable")
            return {n: values if n == "ID" else values[order] for n, values in rows.items()}
        case "shift" if stream == TRAIN:
            recent = np.arange(history.shape[1]) >= history.shape[1] - KEPT
            return rows | {"item_seq": np.where(recent, history, 0)}
        case "level_mismatch":
            views = rows["views_level"]
            other = np.where(views < N_LEVELS - 1, views + 1, views - 1)
            return rows | {"views_level": np.where(rng.random(len(views)) < MISMATCH, other, views)}
    return rows


def following(rows: Columns, good: np.ndarray, rng: np.random.Generator) -> Columns:
    """Rows whose labels are `good` (N,) bool instead with probability FOLLOWING."""
    label = np.where(rng.random(len(good)) < FOLLOWING, good, rows["label"])
    probability = (1 - FOLLOWING) * rows["click_probability"] + FOLLOWING * good
    return rows | {"label": label.astype(np.int64), "click_probability": probability}


def good_items(world: World) -> np.ndarray:
    """Items, bool (I,), with GOOD of the popularity of every likes and of every views level.

    From the most popular item on, one is good where its two levels lag behind by more than itself.
    """
    popularity = np.zeros(len(world.likes))
    popularity[world.by_cell] = np.diff(world.cumulative)
    good = np.zeros(len(popularity), bool)
    lag = np.zeros((2, N_LEVELS))  # of likes and of views levels, in popularity
    for item in np.argsort(-popularity[1:], kind="stable") + 1:
        at = (0, 1), (world.likes[item], world.views[item])
        lag[at] += GOOD * popularity[item]
        good[item] = lag[at].sum() > popularity[item]
        lag[at] -= good[item] * popularity[item]
    return good
