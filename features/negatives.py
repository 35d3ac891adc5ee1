"""Items without a click for users, drawn by a recipe.

    p(j | u) ~ share * clicks of j / all clicks + (1 - share) / listed items,  j not among u's own

so that popular items are drawn more often where `share` is large. The recipe of given negatives is
measured by the most likely share of this mixture.
"""

from typing import NamedTuple

import numpy as np

SHARES = np.arange(101) / 100  # those that are tried


class Pairs(NamedTuple):
    """Distinct pairs of a user and an item, ordered by them.

    keys   (P,) int64, user * scale + item
    scale  above every item
    """

    keys: np.ndarray
    scale: int

    @classmethod
    def of(cls, user: np.ndarray, item: np.ndarray, scale: int) -> "Pairs":
        return cls(np.unique(np.asarray(user, np.int64) * scale + item), int(scale))

    @property
    def user(self) -> np.ndarray:
        return self.keys // self.scale

    @property
    def item(self) -> np.ndarray:
        return self.keys % self.scale

    def hold(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Bool, of the shape of `user` and `item` broadcast: whether the pair is among these."""
        wanted = np.asarray(user, np.int64) * self.scale + item
        if not len(self.keys):
            return np.zeros(wanted.shape, bool)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return self.keys[place] == wanted

    def count(self, user: np.ndarray) -> np.ndarray:
        """(T,) int64, the pairs of each of `user` (T,)."""
        own = self.user
        return np.searchsorted(own, user, "right") - np.searchsorted(own, user)


class Recipe(NamedTuple):
    """How negatives are drawn.

    share    of draws that take one of `popular`; the others take one of `listed`
    popular  (C,) int, an item for every click
    listed   (J,) int, every item once
    """

    share: float
    popular: np.ndarray
    listed: np.ndarray

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n,) items, each by itself."""
        by_popularity = rng.random(n) < self.share
        return np.where(by_popularity, rng.choice(self.popular, n), rng.choice(self.listed, n))

    def left(self, user: np.ndarray, own: Pairs) -> np.ndarray:
        """(T,) int64, how many items can be drawn for each of `user` (T,), who has `own`."""
        choice = np.unique(self.popular) if self.share == 1 else self.listed
        among = Pairs(own.keys[np.isin(own.item, choice)], own.scale)
        return len(choice) - among.count(user)


def draw(
    recipe: Recipe, user: np.ndarray, k: int, own: Pairs, rng: np.random.Generator
) -> np.ndarray:
    """Items (T, k) for `user` (T,): distinct in a row, none among the user's `own`.

    Items that break this are drawn again, which ends where `recipe.left` is at least k.
    """
    negatives = recipe.draw(len(user) * k, rng).reshape(-1, k)
    unchecked = np.arange(len(user))
    while len(unchecked):
        drawn = negatives[unchecked]
        row, column = np.nonzero(own.hold(user[unchecked, None], drawn) | _repeated(drawn))
        negatives[unchecked[row], column] = recipe.draw(len(row), rng)
        unchecked = np.unique(unchecked[row])
    return negatives


def measured_share(
    user: np.ndarray, item: np.ndarray, popular: np.ndarray, listed: np.ndarray, own: Pairs
) -> float:
    """The share, in whole percents, that makes the negatives (user, item), (T,) each, most likely.

    own  what no user was given as a negative
    0 where nothing tells, because there are no negatives.
    """
    by_popularity = np.bincount(popular, minlength=own.scale) / max(len(popular), 1)
    uniformly = np.bincount(listed, minlength=own.scale) / max(len(listed), 1)
    drawn, n_drawn = np.unique(item, return_counts=True)
    users, n_of_user = np.unique(user, return_counts=True)
    of_user = np.searchsorted(users, own.user).clip(max=max(len(users) - 1, 0))
    theirs = np.isin(own.user, users)
    masses = [
        np.bincount(of_user[theirs], p[own.item[theirs]], minlength=len(users))
        for p in (by_popularity, uniformly)
    ]

    def log_likelihood(share: float) -> float:
        p = share * by_popularity[drawn] + (1 - share) * uniformly[drawn]
        rest = 1 - share * masses[0] - (1 - share) * masses[1]  # what each user could be given
        possible = (p > 0).all() and (rest > 1e-9).all()
        return n_drawn @ np.log(p) - n_of_user @ np.log(rest) if possible else -np.inf

    return float(SHARES[np.argmax([log_likelihood(share) for share in SHARES])])


def _repeated(values: np.ndarray) -> np.ndarray:
    """Bool (T, K): True where the row has the same value further left."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    repeated = np.zeros(values.shape, bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated
