"""One leak or shift in the sample, for 15_probe to find: data.plant=KIND.

    item_id            half of the labels follow the item: a quarter of the items, evenly over the
                       levels, is clicked and the others are not
    level              half of the labels follow the likes level, which has no other meaning then
    history_length     the history of a row without a click ends two items earlier
    user_id            half of the labels follow the user id: the lowest quarter of users clicks
    target_in_history  half of the clicked items are in their own history, as its last item
    row_order          clicks come first in the file (in each chunk of users)
    shift              histories in train have at most four items, those in valid and test all
    user_overlap       a third of the users of valid are users of train
    level_mismatch     the views level of three rows in ten differs from that of their item

If labels follow something, click_probability takes it into account and is still the best possible
score; the other leaks do not change it.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from features.settings import PLANTS
from features.sources.sample_world import PLANT, TRAIN, World, pad
from features.store.schema import N_LEVELS

KINDS = tuple(kind for kind in PLANTS if kind != "none")
FOLLOWING = 0.5  # share of labels that follow the planted leak
FAVOURED = 0.25  # share of popularity, and of users, that is clicked where labels follow it
HIGH_LEVEL = 8  # lowest likes level that is clicked where labels follow the level
CUT_ITEMS = 2  # history items that rows without a click lose
SHIFTED_ITEMS = 4  # history items that rows of the shifted train keep
IN_HISTORY, OVERLAP, MISMATCH = 0.5, 1 / 3, 0.3  # shares of clicks, of users, of rows

RowColumns = dict[str, np.ndarray]  # of rows: ID, user_id, item_seq (N, W), ..., click_probability


class Favoured(NamedTuple):
    """The items (I,) and users (U + 1,), bool by id, that are clicked if labels follow them."""

    items: np.ndarray
    users: np.ndarray

    @classmethod
    def of(cls, world: World, n_users: int) -> "Favoured":
        return cls(favoured_items(world), np.arange(n_users + 1) <= FAVOURED * n_users)


def plant_in_world(kind: str, world: World, seed: int) -> World:
    """The world; its likes levels are shuffled if labels are to follow them."""
    if kind != "level":
        return world
    rng = np.random.default_rng([seed, PLANT, 0])
    return replace(world, likes=pad(rng.permutation(world.likes[1:])))


def plant_in_users(kind: str, train: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The user ids of valid (V,); some of them are train's if the splits are to share users."""
    if kind != "user_overlap":
        return valid
    n_shared = min(int(np.ceil(OVERLAP * len(valid))), len(train))
    return np.concatenate([train[:n_shared], valid[n_shared:]])


def plant_in_rows(
    kind: str, rows: RowColumns, stream: int, favoured: Favoured, rng: np.random.Generator
) -> RowColumns:
    """A chunk of rows with the leak in them; `stream` is that of their split, TRAIN .. TEST."""
    history, label = rows["item_seq"], rows["label"]
    match kind:
        case "item_id":
            return following(rows, favoured.items[rows["item_id"]], rng)
        case "level":
            return following(rows, rows["likes_level"] >= HIGH_LEVEL, rng)
        case "user_id":
            return following(rows, favoured.users[rows["user_id"]], rng)
        case "history_length":
            earlier = np.pad(history, [(0, 0), (CUT_ITEMS, 0)])[:, :-CUT_ITEMS]
            return rows | {"item_seq": np.where(label[:, None] == 1, history, earlier)}
        case "target_in_history":
            shown = (label == 1) & (rng.random(len(label)) < IN_HISTORY)
            last = np.where(shown, rows["item_id"], history[:, -1]).astype(history.dtype)
            return rows | {"item_seq": np.column_stack([history[:, :-1], last])}
        case "row_order":
            order = np.argsort(-label, kind="stable")
            return {n: values if n == "ID" else values[order] for n, values in rows.items()}
        case "shift" if stream == TRAIN:
            recent = np.arange(history.shape[1]) >= history.shape[1] - SHIFTED_ITEMS
            return rows | {"item_seq": np.where(recent, history, 0)}
        case "level_mismatch":
            views = rows["views_level"]
            other = np.where(views < N_LEVELS - 1, views + 1, views - 1)
            return rows | {"views_level": np.where(rng.random(len(views)) < MISMATCH, other, views)}
    return rows


def following(rows: RowColumns, clicked: np.ndarray, rng: np.random.Generator) -> RowColumns:
    """Rows whose labels are replaced by `clicked` (N,) bool with probability FOLLOWING."""
    label = np.where(rng.random(len(clicked)) < FOLLOWING, clicked, rows["label"])
    probability = (1 - FOLLOWING) * rows["click_probability"] + FOLLOWING * clicked
    return rows | {"label": label.astype(np.int64), "click_probability": probability}


def favoured_items(world: World) -> np.ndarray:
    """Items, bool (I,), with a share FAVOURED of the popularity of each likes and views level.

    Greedily, from the most popular item on: an item is taken if what its two levels still lack
    exceeds its own popularity.
    """
    popularity = np.zeros(len(world.likes))
    popularity[world.by_cell] = np.diff(world.cumulative)
    favoured = np.zeros(len(popularity), bool)
    lacking = np.zeros((2, N_LEVELS))  # popularity that each likes and views level still lacks
    for item in np.argsort(-popularity[1:], kind="stable") + 1:
        at = (0, 1), (world.likes[item], world.views[item])
        lacking[at] += FAVOURED * popularity[item]
        favoured[item] = lacking[at].sum() > popularity[item]
        lacking[at] -= favoured[item] * popularity[item]
    return favoured
