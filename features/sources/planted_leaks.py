"""One leak or shift in the sample, for 15_probe to find: data.plant=KIND.

    item_id            half of the labels follow the item: a quarter of the items, evenly over the
                       levels, is clicked and the others are not
    level              half of the labels follow the likes level, which has no other meaning then
    history_length     the history of a row without a click ends two items earlier
    user_id            half of the labels follow the user id: the lowest quarter of users clicks
    user_modulo        half of the labels follow the user id's remainder by 37: nine of them click
    user_rows          half of the users without a click have two rows, all others four
    user_copy          a third of the users of valid have the histories of train users
    target_in_history  half of the clicked items are in their own history, as its last item
    target_in_other_history  about half of the clicked items are in another history of their user
    near_duplicate     every item has a twin of equal content, and half of the clicked items have
                       theirs as the last item of their history
    row_history        half of the clicks have another history than the user's other rows: read
                       backwards, with an item twice, or with another user's item
    never_clicked      half of the rows without a click show items that are in no history
    row_order          clicks come first in the file (in each chunk of users)
    shift              histories in train have at most four items, those in valid and test all
    user_overlap       a third of the users of valid are users of train
    level_mismatch     the views level of three rows in ten differs from that of their item
    tag_order, content_sign, content_rate    planted_items.py: the item table knows click rates

If labels follow something, click_probability takes it into account and is still the best possible
score; the other leaks do not change it.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from features.settings import PLANTS
from features.sources import planted_histories, sample_world
from features.sources.sample_world import PLANT, TRAIN, World, pad
from features.store.schema import N_LEVELS

KINDS = tuple(kind for kind in PLANTS if kind != "none")
FOLLOWING = 0.5  # share of labels that follow the planted leak
FAVOURED = 0.25  # share of popularity, and of users, that is clicked where labels follow it
HIGH_LEVEL = 8  # lowest likes level that is clicked where labels follow the level
DIVISOR, REMAINDERS = 37, 9  # of user ids
UNSEEN = 1e-9  # of its popularity, what an item keeps that stands in no history
OVERLAP, MISMATCH, SHORT, REPLACED = 1 / 3, 0.3, 0.5, 0.5  # shares of users and of rows
SHORT_ROWS = 2  # rows of users without a click whose other rows are left out

RowColumns = dict[str, np.ndarray]  # of rows: ID, user_id, item_seq (N, W), ..., click_probability


class Favoured(NamedTuple):
    """The items (I,) and users (U + 1,), bool by id, that are clicked if labels follow them."""

    items: np.ndarray
    users: np.ndarray

    @classmethod
    def of(cls, world: World, n_users: int) -> "Favoured":
        return cls(favoured_items(world), np.arange(n_users + 1) <= FAVOURED * n_users)


def plant_in_world(kind: str, world: World, seed: int, favoured: Favoured) -> World:
    """The world, with what its rows alone cannot plant."""
    match kind:
        case "level":  # shuffled, so that it has no other meaning
            rng = np.random.default_rng([seed, PLANT, 0])
            return replace(world, likes=pad(rng.permutation(world.likes[1:])))
        case "never_clicked":
            drawn = popularity(world) * np.where(favoured.items, UNSEEN, 1)
            cumulative = np.concatenate([[0.0], np.cumsum(drawn[world.by_cell])])
            return replace(world, cumulative=cumulative)
        case "near_duplicate":
            one = np.minimum(np.arange(len(world.likes)), twins(world))
            changes = {name: getattr(world, name)[one] for name in ("topic", "style", "content")}
            return replace(world, **changes)
    return world


def plant_in_users(kind: str, train: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The user ids of valid (V,); some of them are train's if the splits are to share users."""
    if kind != "user_overlap":
        return valid
    n_shared = shared(len(train), len(valid))
    return np.concatenate([train[:n_shared], valid[n_shared:]])


def plant_in_histories(
    kind: str, world: World, seed: int, drawn: tuple, n_train: int
) -> tuple[np.ndarray, np.ndarray]:
    """Histories (values, offsets) of valid's first users; some are train's if users are copied.

    drawn: their own histories; n_train: how many users train's first chunk has.
    """
    if kind != "user_copy":
        return drawn
    values, offsets = drawn
    rng = np.random.default_rng([seed, TRAIN, 0])
    theirs, their_offsets = sample_world.draw_histories(world, rng, n_train)
    n_copied = shared(n_train, len(offsets) - 1)
    cut, kept = their_offsets[n_copied], offsets[n_copied]
    values = np.concatenate([theirs[:cut], values[kept:]])
    return values, np.concatenate([their_offsets[:n_copied], offsets[n_copied:] - kept + cut])


def shared(n_train: int, n_valid: int) -> int:
    """How many users of valid are users of train."""
    return min(int(np.ceil(OVERLAP * n_valid)), n_train)


def plant_in_rows(
    kind: str,
    rows: RowColumns,
    stream: int,
    world: World,
    favoured: Favoured,
    rng: np.random.Generator,
) -> RowColumns:
    """A chunk of the planted world's rows with the leak in them; `stream`: TRAIN, VALID or TEST."""
    history, label, item, user = (rows[n] for n in ("item_seq", "label", "item_id", "user_id"))
    match kind:
        case "item_id":
            return following(rows, favoured.items[item], rng)
        case "level":
            return following(rows, rows["likes_level"] >= HIGH_LEVEL, rng)
        case "user_id":
            return following(rows, favoured.users[user], rng)
        case "user_modulo":
            return following(rows, user % DIVISOR < REMAINDERS, rng)
        case "user_rows":
            return without_rows(rows, rng)
        case "never_clicked":
            return never_clicked(rows, world, favoured, rng)
        case "history_length":
            return rows | {"item_seq": planted_histories.earlier(history, label)}
        case "target_in_history" | "near_duplicate":
            shown = item if kind == "target_in_history" else twins(world)[item]
            return rows | {"item_seq": planted_histories.with_last(history, label, shown, rng)}
        case "target_in_other_history":
            planted = planted_histories.with_other_rows_click(history, label, item, user, rng)
            return rows | {"item_seq": planted}
        case "row_history":
            return rows | {"item_seq": planted_histories.changed(history, label, rng)}
        case "row_order":
            order = np.argsort(-label, kind="stable")
            return {n: values if n == "ID" else values[order] for n, values in rows.items()}
        case "shift" if stream == TRAIN:
            return rows | {"item_seq": planted_histories.shortened(history)}
        case "level_mismatch":
            views = rows["views_level"]
            other = np.where(views < N_LEVELS - 1, views + 1, views - 1)
            return rows | {"views_level": np.where(rng.random(len(views)) < MISMATCH, other, views)}
    return rows


def never_clicked(
    rows: RowColumns, world: World, favoured: Favoured, rng: np.random.Generator
) -> RowColumns:
    """Rows, half of those without a click with items that no history holds: the favoured ones."""
    share = popularity(world) * favoured.items
    drawn = rng.choice(len(share), len(rows["label"]), p=share / share.sum())
    where = (rows["label"] == 0) & (rng.random(len(drawn)) < REPLACED)
    item = np.where(where, drawn, rows["item_id"])
    levels = {"likes_level": world.likes[item], "views_level": world.views[item]}
    return rows | {"item_id": item} | levels


def following(rows: RowColumns, clicked: np.ndarray, rng: np.random.Generator) -> RowColumns:
    """Rows whose labels are replaced by `clicked` (N,) bool with probability FOLLOWING."""
    label = np.where(rng.random(len(clicked)) < FOLLOWING, clicked, rows["label"])
    probability = (1 - FOLLOWING) * rows["click_probability"] + FOLLOWING * clicked
    return rows | {"label": label.astype(np.int64), "click_probability": probability}


def without_rows(rows: RowColumns, rng: np.random.Generator) -> RowColumns:
    """Rows, without some of half of the users that have no click."""
    _, user = np.unique(rows["user_id"], return_inverse=True)
    short = (np.bincount(user, rows["label"]) == 0) & (rng.random(user.max() + 1) < SHORT)
    order, first = np.argsort(user, kind="stable"), np.cumsum(np.bincount(user))
    turn = np.empty(len(user), np.int64)
    turn[order] = np.arange(len(user)) - (first - np.bincount(user))[user[order]]
    kept = ~short[user] | (turn < SHORT_ROWS)
    return {name: values[kept] for name, values in rows.items()}


def popularity(world: World) -> np.ndarray:
    """How often each item is drawn, relative to the others: (I,) float64."""
    of_item = np.zeros(len(world.likes))
    of_item[world.by_cell] = np.diff(world.cumulative)
    return of_item


def twins(world: World) -> np.ndarray:
    """Each item's neighbour in its cell, (I,) ids; items without one are their own."""
    twin, ids = np.arange(len(world.likes)), world.by_cell
    place = np.arange(len(ids))
    cell = np.searchsorted(world.cell_start, place, side="right") - 1
    other = world.cell_start[cell] + ((place - world.cell_start[cell]) ^ 1)
    paired = other < world.cell_start[cell + 1]
    twin[ids[paired]] = ids[other[paired]]
    return twin


def favoured_items(world: World) -> np.ndarray:
    """Items, bool (I,), with a share FAVOURED of the popularity of each likes and views level.

    Greedily, from the most popular item on: an item is taken if what its two levels still lack
    exceeds its own popularity.
    """
    of_item = popularity(world)
    favoured = np.zeros(len(of_item), bool)
    lacking = np.zeros((2, N_LEVELS))  # popularity that each likes and views level still lacks
    for item in np.argsort(-of_item[1:], kind="stable") + 1:
        at = (0, 1), (world.likes[item], world.views[item])
        lacking[at] += FAVOURED * of_item[item]
        favoured[item] = lacking[at].sum() > of_item[item]
        lacking[at] -= favoured[item] * of_item[item]
    return favoured
