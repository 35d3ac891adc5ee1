"""Whether the slates of a file of rows are whole, for blenders that compare their rows.

A slate (features.slates) that lacks rows gets other scores. Nothing in a file says how many rows a
slate had; what can be seen is refused: slates of the run's own rows that are not complete, and
slates smaller than any that the run has seen.
"""

from pathlib import Path

import numpy as np

from features.errors import InputError
from features.slates import slate_numbers
from features.store.store import Split, Store

Slates = dict[tuple[int, bytes], np.ndarray]  # (user, history) -> the items of the slate's rows


def check(
    path: Path, name: str, rows: Split, values: np.ndarray, offsets: np.ndarray, store: Store
) -> None:
    """Raise InputError where slates of `rows`, read from `path`, are seen to lack rows.

    values, offsets: the histories of `rows`; store: of the run `name`.
    """
    found, users = slates(rows, values, offsets), np.unique(rows.user)
    broken = {}  # slate -> what is wrong
    smallest = int(np.bincount(slate_numbers(store.train)).min())
    for slate, items in found.items():
        if len(items) < smallest:
            broken[slate] = f"{len(items)} rows, and no train slate of the run less than {smallest}"
    for split in (store.train, store.valid, store.test):
        of_users = split.take(np.isin(split.user, users))
        for slate, items in slates(of_users, store.values, store.offsets).items():
            here = found.get(slate)
            if here is not None and len(here) < len(items) and np.isin(here, items).all():
                broken[slate] = f"{len(here)} of the {len(items)} rows"
    if broken:
        (user, _), what = next(iter(broken.items()))
        raise InputError(
            f"{path}: {len(broken)} of {len(found)} slates are not whole, such as that of user"
            f" {user}: {what}. {name} compares the rows of a slate (equal user and history): give"
            " all rows of every slate"
        )


def slates(rows: Split, values: np.ndarray, offsets: np.ndarray) -> Slates:
    """The slates of `rows`, whose histories are `values` and `offsets`."""
    if not len(rows):
        return {}
    number = slate_numbers(rows)
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    user, history, item = (np.asarray(a) for a in (rows.user, rows.history, rows.item))
    found = {}
    for part in parts:
        h = history[part[0]]
        found[int(user[part[0]]), values[offsets[h] : offsets[h + 1]].tobytes()] = item[part]
    return found
