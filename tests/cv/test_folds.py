"""User-grouped folds: whole users, similar folds, determinism."""

import numpy as np
import pytest

from cv.folds import folds_up_to, grouped_folds, user_parts
from features.errors import InputError


def rows(seed=0, n_users=3000):
    """User ids with gaps, 1 to 12 rows each, a click rate of the user's own, shuffled."""
    rng = np.random.default_rng(seed)
    users = rng.permutation(10 * n_users)[:n_users]
    user = rng.permutation(np.repeat(users, rng.integers(1, 13, n_users)))
    rate = dict(zip(users, rng.beta(1, 3, n_users), strict=True))
    return user, (rng.random(len(user)) < [rate[u] for u in user]).astype(np.int64)


def test_no_user_is_in_two_folds():
    user, label = rows()
    fold = grouped_folds(user, label, 5, seed=1)
    assert fold.dtype == np.int8
    assert set(fold) == set(range(5))
    pairs = np.unique(np.stack([user, fold]), axis=1)
    assert pairs.shape[1] == len(np.unique(user))


@pytest.mark.parametrize("seed", range(5))
def test_folds_have_similar_numbers_of_users_rows_and_positives(seed):
    user, label = rows(seed)
    fold = grouped_folds(user, label, 5, seed)
    of_user = fold[np.unique(user, return_index=True)[1]]
    assert np.ptp(np.bincount(of_user)) <= 1
    for count in (np.bincount(fold), np.bincount(fold, weights=label)):
        assert np.ptp(count) < 0.02 * count.mean()


def test_four_rows_and_one_click_a_user_divide_exactly():
    user, label = np.repeat(np.arange(1000), 4), np.tile([0, 0, 1, 0], 1000)
    fold = grouped_folds(user, label, 5, seed=0)
    assert (np.bincount(fold) == 800).all()
    assert (np.bincount(fold, weights=label) == 200).all()


def test_row_order_does_not_matter():
    user, label = rows()
    order = np.random.default_rng(3).permutation(len(user))
    fold = grouped_folds(user, label, 5, seed=1)
    assert np.array_equal(grouped_folds(user[order], label[order], 5, seed=1), fold[order])


def test_same_seed_same_folds_other_seed_others():
    user, label = rows()
    fold = grouped_folds(user, label, 5, seed=1)
    assert np.array_equal(fold, grouped_folds(user, label, 5, seed=1))
    other = grouped_folds(user, label, 5, seed=2)
    assert 0.1 < (fold == other).mean() < 0.3  # one in five by chance


@pytest.mark.parametrize("rare", [0, 1])
@pytest.mark.parametrize("seed", range(10))
def test_as_many_users_of_the_rarer_class_as_folds_are_enough(rare, seed):
    user = np.arange(53)
    label = np.where(np.isin(user, [3, 14, 15, 35, 50]), rare, 1 - rare)
    fold = grouped_folds(user, label, 5, seed)
    assert sorted(fold[label == rare]) == [0, 1, 2, 3, 4]


def test_many_folds_do_not_overflow():
    user, label = np.repeat(np.arange(254), 2), np.tile([0, 1], 254)
    assert (np.bincount(grouped_folds(user, label, 127, seed=0)) == 4).all()


@pytest.mark.parametrize(
    ("user", "label", "n_folds", "message"),
    [
        ([1, 1, 2, 2], [0, 1, 0, 1], 3, "at least 3 users; got 2"),
        ([1, 2, 3, 4, 5, 6], [1, 0, 0, 0, 0, 0], 2, "0 positives and 3 negatives"),
        ([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 0], 2, "3 positives and 0 negatives"),
        ([1, 2, 3], [0, 1, 0], 1, "2..127; got 1"),
        ([1, 2, 3], [0, 1, 0], 128, "2..127; got 128"),
    ],
)
def test_refuses(user, label, n_folds, message):
    with pytest.raises(InputError, match=message):
        grouped_folds(np.array(user), np.array(label), n_folds, seed=0)


def test_a_part_holds_alike_users_of_every_fold_and_no_other_fold_decides_about_it():
    rng = np.random.default_rng(0)
    user = rng.permutation(np.repeat(np.arange(600), 4))
    label = (rng.random(len(user)) < 0.25).astype(np.uint8)
    fold = grouped_folds(user, label, 5, seed=1)
    part = user_parts(user, label, fold, 10, seed=1)
    assert part.dtype == np.int8
    assert all(len(np.unique(part[user == u])) == 1 for u in range(600))
    for k in range(5):
        rows = (fold != k) & (part == k)
        assert rows.sum() / (fold != k).sum() == pytest.approx(0.1, abs=0.01)
        assert label[rows].mean() == pytest.approx(label.mean(), abs=0.03)
        flipped = np.where(fold == k, 1 - label, label)
        other = user_parts(user, flipped, fold, 10, seed=1)
        assert np.array_equal(other[fold != k], part[fold != k])
    assert not np.array_equal(user_parts(user, label, fold, 10, seed=2), part)
    order = rng.permutation(len(user))
    shuffled = user_parts(user[order], label[order], fold[order], 10, seed=1)
    assert np.array_equal(shuffled, part[order])


def test_a_part_without_both_classes_is_refused():
    user, fold = np.arange(40), np.arange(40) % 2
    rare = (user < 2).astype(np.uint8)  # one user of each fold
    with pytest.raises(InputError, match=r"fold .'s fits have 0 positives and \d+ neg"):
        user_parts(user, rare, fold, 2, seed=0)


@pytest.mark.parametrize(("n_users", "n_folds"), [(1, 0), (2, 2), (4, 4), (5, 5), (9, 5)])
def test_as_many_folds_as_users_fill(n_users, n_folds):
    user, label = np.repeat(np.arange(n_users), 2), np.tile([0, 1], n_users)
    fold = folds_up_to(user, label, 5, seed=0)
    assert (0 if fold is None else len(np.unique(fold))) == n_folds
    if n_folds:
        np.testing.assert_array_equal(fold, grouped_folds(user, label, n_folds, seed=0))


def test_fewer_folds_where_one_would_lack_a_class():
    user, label = np.arange(12), (np.arange(12) < 3).astype(int)  # three users click
    assert len(np.unique(folds_up_to(user, label, 5, seed=0))) == 3
    assert folds_up_to(user, (user < 1).astype(int), 5, seed=0) is None
