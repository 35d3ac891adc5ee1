"""Prefixes of the train users' histories, as further rows to train on.

Of each train user, the longest history is read. An item of it is a click with the items before it
as history, if there are any, and if the item is neither among them nor the target of a clicked row
of the user. Beside each such click are K negatives, with the same history:

    K       negatives per click in the slates of train (features.slates), the median; where no two
            rows share a slate, the ratio of the labels
    recipe  see features.negatives, with the share of draws by popularity that is most likely for
            train's own negatives; clicks are those of train's histories and labels, and the items
            to draw from all that occur in train; never one that the user is known to have clicked

rank counts a user's clicks from the newest, 0. The rows of a rank depend on no other rank, so that
the first N ranks are the same however many are made.

A row of a prefix has the likes and views of its item: those of the item table, else those of any
row with that item, else 0.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from features.errors import InputError
from features.longest_history import longest
from features.negatives import Pairs, Recipe, draw, measured_share
from features.slates import slate_numbers
from features.slices import places
from features.store.schema import SPLITS
from features.store.store import Split, Store

SEED = 25
COLUMNS = tuple(f.name for f in fields(Split) if f.name != "id")
HISTORIES = ("begin", "end")
OF_ROWS = ("row", "rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """Rows of P prefixes: N = P * (1 + K), ordered by user, then from the oldest click.

    split       as one of the store; history (N,) is the number of the prefix
    begin, end  (P,) int64: prefix p is the store's values[begin[p] : end[p]]
    row         (N,) int32, a train row of the same user: its fold and its part are the row's
    rank        (N,) uint16, 0 for the user's newest click
    """

    split: Split
    begin: np.ndarray
    end: np.ndarray
    row: np.ndarray
    rank: np.ndarray

    def __len__(self) -> int:
        return len(self.split)


def build(store: Store, last: int, seed: int = SEED) -> tuple[Prefixes, dict]:
    """The prefixes that end before each of the `last` clicks of a user's history, and their counts.

    Users who leave fewer than K items to draw are left out.
    """
    train, scale = store.train, len(store.items)
    user, item, clicked = (np.asarray(c) for c in (train.user, train.item, train.label == 1))
    slate = slate_numbers(train)
    given = Pairs.of(user[clicked], item[clicked], scale)
    known = _known_clicks(store, slate, given)
    k = negatives_per_click(slate, clicked)
    occurring = np.union1d(item, known.item)
    share = measured_share(user[~clicked], item[~clicked], known.item, occurring, known)
    recipe = Recipe(share, known.item, occurring)

    row = _longest(store)
    enough = recipe.left(user[row], known) >= k
    row = row[enough]
    owner, place, rank = _clicks(store, row, given)
    kept = rank < last
    owner, place, rank = owner[kept], place[kept], rank[kept]

    drawn = np.empty((len(owner), k), np.int64)
    for r in range(last):
        of_rank, rng = rank == r, np.random.default_rng([seed, r])
        drawn[of_rank] = draw(recipe, user[row[owner[of_rank]]], k, known, rng)
    items = np.column_stack([np.asarray(store.values)[place], drawn]).ravel()
    label = np.zeros((len(owner), 1 + k), np.uint8)
    label[:, 0] = 1
    each = np.repeat(np.arange(len(owner)), 1 + k)
    split = Split(
        user=user[row[owner]][each].astype(np.int32),
        item=items.astype(np.int32),
        likes=_levels(store, "likes")[items],
        views=_levels(store, "views")[items],
        history=each.astype(np.int32),
        label=label.ravel(),
    )
    prefixes = Prefixes(
        split=split,
        begin=_ends(store, row)[0][owner],
        end=place,
        row=row[owner][each].astype(np.int32),
        rank=rank[each].astype(np.uint16),
    )
    return prefixes, {
        "negatives_per_click": k,
        "share_by_popularity": share,
        "prefixes": np.bincount(rank, minlength=last).tolist(),  # by rank
        "users": int((rank == 0).sum()),
        "users_left_out": int((~enough).sum()),
    }


def negatives_per_click(slate: np.ndarray, clicked: np.ndarray) -> int:
    """K of rows with the slates (N,) int64 and the labels (N,) bool; at least 1."""
    clicks, size = np.bincount(slate, clicked), np.bincount(slate)
    tells = (clicks > 0) & (size > 1)
    if tells.any():
        ratio = np.median((size[tells] - clicks[tells]) / clicks[tells])
    else:
        ratio = (~clicked).sum() / max(clicked.sum(), 1)
    return max(1, round(float(ratio)))


def write(folder: Path, prefixes: Prefixes, facts: dict) -> None:
    """Write the arrays as <name>.npy, and `facts` as prefixes.json."""
    arrays = {name: getattr(prefixes.split, name) for name in COLUMNS}
    arrays |= {name: getattr(prefixes, name) for name in (*HISTORIES, *OF_ROWS)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / "prefixes.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def open_prefixes(folder: Path) -> Prefixes:
    """Map the arrays that `write` wrote. Raises InputError where one is missing or damaged."""
    arrays = {name: _load(folder / f"{name}.npy") for name in (*COLUMNS, *HISTORIES, *OF_ROWS)}
    return Prefixes(
        split=Split(**{name: arrays[name] for name in COLUMNS}),
        **{name: arrays[name] for name in (*HISTORIES, *OF_ROWS)},
    )


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        remedy = "it is written by: python -m pipeline.25_prefixes"
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from error


def _clicks(
    store: Store, row: np.ndarray, given: Pairs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The clicks that the histories of the train rows `row` (U,), one of each user, add to `given`.

    For each of T clicks: which row, where its item is among the values, its rank; (T,) int64.
    """
    begin, end = _ends(store, row)
    owner, place = _entries(begin, end)
    item, user = np.asarray(store.values)[place], np.asarray(store.train.user)[row]
    first = np.zeros(len(place), bool)  # of its item in the history
    first[np.unique(owner * given.scale + item, return_index=True)[1]] = True
    usable = first & (place > begin[owner]) & ~given.hold(user[owner], item)
    owner, place = owner[usable], place[usable]
    newest = np.cumsum(np.bincount(owner, minlength=len(row))) - 1
    return owner, place, newest[owner] - np.arange(len(owner))


def _known_clicks(store: Store, slate: np.ndarray, given: Pairs) -> Pairs:
    """Every item that a train user clicked, by a label or by a history."""
    user = np.asarray(store.train.user)
    row = np.unique(slate, return_index=True)[1]  # one of each user and history
    owner, place = _entries(*_ends(store, row))
    of_histories = Pairs.of(user[row][owner], np.asarray(store.values)[place], given.scale)
    return Pairs(np.union1d(of_histories.keys, given.keys), given.scale)


def _longest(store: Store) -> np.ndarray:
    """The last of each user's train rows with the longest history, (U,) int64, by user."""
    begin, end = _ends(store, np.arange(len(store.train)))
    return longest(store.train.user, end - begin)


def _ends(store: Store, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the histories of train rows `row` (n,) begin and end among the values: (n,) int64."""
    history = np.asarray(store.train.history)[row]
    return np.asarray(store.offsets)[history], np.asarray(store.offsets)[history + 1]


def _entries(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every entry of n histories, which of them it is of and where its value is: (T,) int64."""
    place, _ = places(begin, end)
    return np.repeat(np.arange(len(begin)), end - begin), place


def _levels(store: Store, name: str) -> np.ndarray:
    """uint8 (I,), the likes or the views of every item."""
    level = np.zeros(len(store.items), np.uint8)
    for split in reversed(SPLITS):  # a row of train comes before others
        rows = getattr(store, split)
        level[np.asarray(rows.item)] = np.asarray(getattr(rows, name))
    own = getattr(store.items, name)
    return level if own is None else np.where(own > 0, own, level).astype(np.uint8)
