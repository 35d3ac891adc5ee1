"""Rows of prefixes, compared with a loop over users."""

from dataclasses import replace

import numpy as np
import pytest

from features import prefixes
from features.errors import InputError
from features.store.store import Store
from tests.helpers.worlds import tiny_store

LAST = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """240 rows of users with four rows each; every third user's rows have two histories, of which
    one is the other's beginning. Histories repeat items, and some are empty."""
    store = tiny_store(tmp_path_factory.mktemp("prefixes"))
    history, offsets = np.array(store.train.history), store.offsets.tolist()
    short = history[np.arange(len(history)) // 12 * 12 % len(history)]
    cut = [max(offsets[h + 1] - 3, offsets[h]) for h in short.tolist()]
    places = [range(offsets[h], end) for h, end in zip(short, cut, strict=True)]
    values = [*store.values, *(store.values[i] for place in places for i in place)]
    more = np.cumsum([len(place) for place in places])
    own = np.arange(len(history)) % 12 == 1
    history[own] = len(offsets) - 1 + np.flatnonzero(own)
    return replace(
        store, values=np.array(values, np.int32), offsets=np.append(offsets, offsets[-1] + more),
        train=replace(store.train, history=history.astype(np.int32)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(store) -> tuple[prefixes.Prefixes, dict]:
    return prefixes.build(store, LAST)


def by_user(store: Store) -> dict[int, list[int]]:
    users = {}
    for row, user in enumerate(store.train.user.tolist()):
        users.setdefault(user, []).append(row)
    return users


def history_of(store: Store, row: int) -> list[int]:
    h = store.train.history[row]
    return store.values[store.offsets[h] : store.offsets[h + 1]].tolist()


def known_clicks(store: Store, rows: list[int]) -> set[int]:
    seen = {item for row in rows for item in history_of(store, row)}
    return seen | {int(store.train.item[row]) for row in rows if store.train.label[row]}


def expected(store: Store) -> list[tuple]:
    """(user, row, item, history, rank) of every prefix, by loops."""
    found = []
    for user, rows in sorted(by_user(store).items()):
        longest = max(rows, key=lambda row: (len(history_of(store, row)), row))
        history, clicks = history_of(store, longest), []
        clicked = {int(store.train.item[row]) for row in rows if store.train.label[row]}
        for i in range(1, len(history)):
            if history[i] not in clicked and history[i] not in history[:i]:
                clicks.append((user, longest, history[i], tuple(history[:i])))
        kept = clicks[-LAST:]
        found += [(*click, len(kept) - 1 - i) for i, click in enumerate(kept)]
    return found


def found(store: Store, made: prefixes.Prefixes) -> list[tuple]:
    """The same of what was made."""
    clicks = np.flatnonzero(made.split.label)
    histories = made.split.history[clicks]
    columns = made.split.user, made.row, made.split.item
    parts = [column[clicks].tolist() for column in columns]
    slices = [tuple(store.values[made.begin[p] : made.end[p]].tolist()) for p in histories]
    return list(zip(*parts, slices, made.rank[clicks].tolist(), strict=True))


def test_prefixes_are_those_of_a_loop_over_users(store, built):
    made, facts = built
    clicks = expected(store)
    assert found(store, made) == clicks
    assert any(len(history) < 2 for *_, history, _ in clicks)
    n = [sum(rank == r for *_, rank in clicks) for r in range(LAST)]
    assert facts["prefixes"] == n
    assert facts["users"] == len({user for user, *_ in clicks})
    assert facts["negatives_per_click"] == 3
    assert facts["users_left_out"] == 0


def test_no_history_holds_its_target_and_none_goes_on_after_it(store, built):
    made, _ = built
    for user, row, item, history, _ in found(store, made):
        whole = history_of(store, row)
        assert store.train.user[row] == user
        assert item not in history
        assert whole[: len(history) + 1] == [*history, item]


def test_each_click_has_its_negatives_and_the_user_has_clicked_none_of_them(store, built):
    made, _ = built
    users, width = by_user(store), 4
    assert len(made) == width * len(made.begin)
    slates = {}
    for i in range(len(made)):
        slates.setdefault((int(made.split.user[i]), int(made.split.history[i])), []).append(i)
    occurring = {*store.train.item.tolist()}.union(
        *(known_clicks(store, r) for r in users.values())
    )
    for (user, _), rows in slates.items():
        items = made.split.item[rows].tolist()
        assert made.split.label[rows].tolist() == [1, 0, 0, 0]
        assert len({*items}) == width
        assert not {*items[1:]} & known_clicks(store, users[user])
        assert {*items} <= occurring
        assert len({*made.row[rows].tolist()}) == len({*made.rank[rows].tolist()}) == 1


def test_rows_have_the_levels_of_their_items(store, built):
    split = built[0].split
    own = store.items.views[split.item]
    assert (own > 0).any()
    assert np.array_equal(split.views[own > 0], own[own > 0])
    lacking = replace(store, items=replace(store.items, likes=None))
    split = prefixes.build(lacking, LAST)[0].split
    for item, level in {*zip(split.item.tolist(), split.likes.tolist(), strict=True)}:
        rows = [getattr(store, name) for name in ("train", "valid", "test")]
        theirs = [part.likes[part.item == item].tolist() for part in rows]
        assert level in (theirs[0] or theirs[1] or theirs[2] or [0])


def test_equal_calls_make_equal_rows_and_no_rank_depends_on_how_many_there_are(store, built):
    made, _ = built
    again, fewer = prefixes.build(store, LAST)[0], prefixes.build(store, 2)[0]
    first = np.flatnonzero(made.rank < 2)
    for name in prefixes.COLUMNS:
        assert np.array_equal(getattr(again.split, name), getattr(made.split, name))
        if name != "history":
            assert np.array_equal(getattr(fewer.split, name), getattr(made.split, name)[first])
    assert np.array_equal(fewer.end[fewer.split.history], made.end[made.split.history[first]])
    other = prefixes.build(store, LAST, seed=1)[0]
    assert not np.array_equal(other.split.item, made.split.item)


def test_what_is_written_is_opened_and_a_missing_file_names_the_stage(built, tmp_path):
    made, facts = built
    prefixes.write(tmp_path, made, facts)
    opened = prefixes.open_prefixes(tmp_path)
    assert all(
        np.array_equal(getattr(opened.split, n), getattr(made.split, n)) for n in prefixes.COLUMNS
    )
    assert all(
        np.array_equal(getattr(opened, n), getattr(made, n))
        for n in ("begin", "end", "row", "rank")
    )
    (tmp_path / "rank.npy").unlink()
    with pytest.raises(InputError, match=r"rank.npy cannot be read .* pipeline.25_prefixes"):
        prefixes.open_prefixes(tmp_path)


def test_negatives_per_click_are_the_median_of_slates_or_the_ratio_of_labels():
    measured = prefixes.negatives_per_click
    slate = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    clicked = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 1], bool)  # 3, 2, no click, one row
    assert measured(slate, clicked) == round(2.5)
    assert measured(slate[:7], np.array([1, 1, 0, 0, 1, 0, 0], bool)) == round(1.5)
    assert measured(np.arange(10), np.arange(10) % 5 == 0) == 4
    assert measured(np.arange(4), np.ones(4, bool)) == 1


def test_users_who_leave_too_few_items_have_no_prefixes(store):
    user = int(store.train.user[np.argmax(np.diff(store.offsets)[store.train.history])])
    rows = store.train.user == user
    everything = np.append(store.values, np.arange(1, len(store.items))).astype(np.int32)
    train = replace(
        store.train, history=np.where(rows, len(store.offsets) - 1, store.train.history)
    )
    full = replace(
        store, values=everything, offsets=np.append(store.offsets, len(everything)), train=train
    )
    made, facts = prefixes.build(full, LAST)
    assert facts["users_left_out"] == 1
    assert user not in made.split.user


def test_without_histories_there_are_none(store):
    empty = replace(store, offsets=np.zeros_like(store.offsets))
    made, facts = prefixes.build(empty, LAST)
    assert len(made) == facts["users"] == 0
    assert facts["prefixes"] == [0] * LAST
