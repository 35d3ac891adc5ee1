"""Negatives are drawn by their recipe, and the recipe is found again in them."""

import numpy as np
import pytest

from features import negatives
from features.negatives import Pairs, Recipe

N_USERS, N_ITEMS, K = 2000, 60, 3


@pytest.fixture(scope="module")
def clicks() -> tuple[np.ndarray, np.ndarray]:
    """Users and items of clicks: every second item is often clicked, the last ten are never."""
    rng = np.random.default_rng(0)
    weight = np.where(np.arange(1, N_ITEMS - 10) % 2, 9.0, 1.0)
    user = np.repeat(np.arange(N_USERS), 4)
    item = rng.choice(np.arange(1, N_ITEMS - 10), len(user), p=weight / weight.sum())
    return user, item


@pytest.fixture(scope="module")
def own(clicks) -> Pairs:
    return Pairs.of(*clicks, N_ITEMS)


def test_pairs_know_who_has_what(clicks, own):
    pairs = {*zip(*(column.tolist() for column in clicks), strict=True)}
    assert {*zip(own.user.tolist(), own.item.tolist(), strict=True)} == pairs
    assert len(own.keys) == len(pairs)
    users, items = np.arange(8)[:, None], np.arange(N_ITEMS)
    assert own.hold(users, items).tolist() == [
        [(u, i) in pairs for i in range(N_ITEMS)] for u in range(8)
    ]
    expected = [len({i for u, i in pairs if u == user}) for user in range(8)]
    assert own.count(np.arange(8)).tolist() == expected
    none = Pairs.of(np.array([], int), np.array([], int), N_ITEMS)
    assert not none.hold(users, items).any()


def by_hand(share: float, clicks, own: Pairs, rng) -> tuple[np.ndarray, np.ndarray]:
    """Users and their negatives, drawn one by one."""
    _, item = clicks
    theirs = [set() for _ in range(N_USERS)]
    for user, one in zip(own.user.tolist(), own.item.tolist(), strict=True):
        theirs[user].add(one)
    found = []
    for user in range(N_USERS):
        drawn = set()
        while len(drawn) < K:
            popular = rng.random() < share
            one = int(item[rng.integers(len(item))] if popular else rng.integers(1, N_ITEMS))
            if one not in theirs[user]:
                drawn.add(one)
        found += [(user, one) for one in drawn]
    return tuple(np.array(found).T)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_a_planted_share_is_measured_and_what_is_drawn_by_it_has_it_too(share, clicks, own):
    rng, listed = np.random.default_rng(1), np.arange(1, N_ITEMS)
    given = by_hand(share, clicks, own, rng)
    found = negatives.measured_share(*given, clicks[1], listed, own)
    assert found == pytest.approx(share, abs=0.04)
    recipe, users = Recipe(share, clicks[1], listed), np.arange(N_USERS)
    drawn = negatives.draw(recipe, users, K, own, rng)
    again = negatives.measured_share(np.repeat(users, K), drawn.ravel(), *recipe[1:], own)
    assert again == pytest.approx(share, abs=0.04)
    assert not own.hold(users[:, None], drawn).any()
    assert all(len({*row}) == K for row in drawn.tolist())
    ours, theirs = (np.bincount(x, minlength=N_ITEMS) / len(x) for x in (drawn.ravel(), given[1]))
    assert np.abs(ours - theirs).max() < 0.02


def test_users_leave_the_items_that_can_be_drawn(clicks, own):
    users = np.arange(N_USERS)
    popular = Recipe(1.0, clicks[1], np.arange(1, N_ITEMS)).left(users, own)
    listed = Recipe(0.5, clicks[1], np.arange(1, N_ITEMS)).left(users, own)
    assert (popular == N_ITEMS - 11 - own.count(users)).all()
    assert (listed == N_ITEMS - 1 - own.count(users)).all()


def test_without_negatives_nothing_tells_and_nothing_is_drawn():
    none, pairs = np.array([], np.int64), Pairs.of(np.array([0]), np.array([1]), 3)
    assert negatives.measured_share(none, none, np.array([1]), np.array([1, 2]), pairs) == 0
    drawn = negatives.draw(Recipe(1.0, none, none), none, 2, pairs, np.random.default_rng(0))
    assert drawn.shape == (0, 2)
