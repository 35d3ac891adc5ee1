"""Tabular features: every one against its equation written as loops."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from features import table
from features.columns import (
    click_sequences,
    click_vectors,
    covisitation,
    given_histories,
    history_levels,
    item_popularity,
    item_time,
)
from features.store.schema import SPLITS
from tests.helpers import feature_contract
from tests.helpers.worlds import tiny_store

N_FOLDS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("world"), rows=60)


@pytest.fixture(scope="module")
def fold(store):
    return (np.asarray(store.train.user) % N_FOLDS).astype(np.int8)


@pytest.fixture(scope="module")
def tables(store, fold):
    return table.build(store, fold)


def history(split, store, r):
    h = split.history[r]
    return store.values[store.offsets[h] : store.offsets[h + 1]]


def summed_up(values):
    """max, mean, last and recent of history_ops.summary, as loops."""
    if not len(values):
        return (None,) * 4
    weights = [2.0 ** (-age / 3) for age in reversed(range(len(values)))]
    recent = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    return max(values), float(np.mean(values)), values[-1], recent


def test_every_row_is_there_once_in_order_with_the_columns_promised(store, tables):
    promised = {n: d for feature in table.FEATURES for n, d in feature.COLUMNS.items()}
    assert list(promised) == table.names()
    for name, built in ((name, tables[name]) for name in SPLITS):
        assert built["row_id"].to_list() == list(range(len(getattr(store, name))))
        assert built.columns == [*table.KEYS, *table.names()]
        assert dict(built.schema).items() >= promised.items()
        assert built["item_id"].to_list() == getattr(store, name).item.tolist()


def test_valid_and_test_are_described_outside_each_fold_too(store, fold, tables):
    """As a store describes them that has the fold's rows in valid: those of the stacker's rows."""
    fitted = [n for f in table.FEATURES if table.is_fitted(f) for n in f.COLUMNS]
    assert list(tables) == [
        *SPLITS,
        *(table.of_fold(n, k) for n in SPLITS[1:] for k in range(N_FOLDS)),
    ]
    for k, name in itertools.product(range(N_FOLDS), SPLITS[1:]):
        others = np.flatnonzero(fold != k)
        valid = feature_contract.above(store.valid, store.train.take(np.flatnonzero(fold == k)))
        apart = replace(store, train=store.train.take(others), valid=valid)
        want = table.build(apart, np.full(len(others), -1, np.int8))[name]
        got, want = tables[table.of_fold(name, k)], want.head(len(getattr(store, name)))
        assert got.equals(want.select(*table.KEYS, *fitted))
    assert not tables["test"].select(fitted).equals(tables["test-fold0"].select(fitted))


def test_content_similarity_matches_its_equation_written_as_loops(store, tables):
    content = np.asarray(store.items.content, np.float64)
    for r, row in enumerate(tables["train"].iter_rows(named=True)):
        t = content[store.train.item[r]]
        cosines = [
            float(t @ content[i] / (np.linalg.norm(t) * np.linalg.norm(content[i]) or 1))
            for i in history(store.train, store, r)
        ]
        got = tuple(row[f"ui_content_{name}"] for name in ("max", "mean", "last", "recent"))
        want = summed_up(cosines)
        assert got == (pytest.approx(want, abs=1e-5) if cosines else want)
        assert row["h_length"] == len(cosines)


def test_tag_affinity_matches_its_equation_written_as_loops(store, tables):
    tags = [set(row.tolist()) - {0} for row in np.asarray(store.items.tags)]
    having = {g: sum(g in of for of in tags) for g in set().union(*tags)}
    weight = {g: np.log(len(tags) / n) for g, n in having.items()}
    length = [sum(weight[g] ** 2 for g in of) ** 0.5 for of in tags]
    for r, row in enumerate(tables["valid"].iter_rows(named=True)):
        t = store.valid.item[r]
        cosines = [
            sum(weight[g] ** 2 for g in tags[t] & tags[i]) / ((length[t] * length[i]) or 1)
            for i in history(store.valid, store, r)
        ]
        got = tuple(row[f"ui_tag_cosine_{name}"] for name in ("max", "mean", "last", "recent"))
        want = summed_up(cosines)
        assert got == (pytest.approx(want, abs=1e-5) if cosines else want)


def test_history_levels_match_their_definition_written_as_loops(store, tables):
    for r, row in enumerate(tables["test"].iter_rows(named=True)):
        items = history(store.test, store, r)
        for level in ("likes", "views"):
            got = [row[f"h_{level}_mean"], row[f"h_{level}_last"], row[f"ui_{level}_gap"]]
            if not len(items):
                assert got == [None] * 3
                continue
            levels = getattr(store.items, level)[items].astype(float)
            mean = levels.mean()
            want = [mean, levels[-1], getattr(store.test, level)[r] - mean]
            assert got == pytest.approx(want, abs=1e-5)


def test_history_levels_are_null_where_items_have_none(store):
    without = replace(store, items=replace(store.items, likes=None, views=None))
    described = history_levels.describe(without, store.train)
    assert described.columns == list(history_levels.COLUMNS)
    assert described.null_count().row(0) == (len(store.train),) * 6


def test_tag_overlap_matches_its_definition_written_as_loops(store, tables):
    tags = [set(row.tolist()) - {0} for row in np.asarray(store.items.tags)]
    for r, row in enumerate(tables["valid"].iter_rows(named=True)):
        shared = [bool(tags[store.valid.item[r]] & tags[i]) for i in history(store.valid, store, r)]
        want = (np.mean(shared), float(shared[-1])) if shared else (None, None)
        assert (row["ui_tag_items"], row["ui_tag_last"]) == pytest.approx(want)


def test_popularity_counts_the_other_folds_rows_only(store, fold, tables):
    item = np.asarray(store.train.item)
    for r, row in enumerate(tables["train"].iter_rows(named=True)):
        shows = int(((item == item[r]) & (fold != fold[r])).sum())
        assert (row["i_shows"] or 0) == shows
    for row in tables["test"].iter_rows(named=True):
        assert (row["i_shows"] or 0) == int((item == row["item_id"]).sum())


def test_rates_are_smoothed_more_where_items_differ_less():
    """Beta(a, b) rates: strength a + b, mean a / (a + b)."""
    rng = np.random.default_rng(0)
    shows = rng.integers(1, 60, 20_000)
    for a, b in ((1.0, 3.0), (5.0, 15.0)):
        clicks = rng.binomial(shows, rng.beta(a, b, len(shows)))
        mean, strength = item_popularity.prior(shows, clicks)
        assert mean == pytest.approx(0.25, abs=0.005)
        assert strength == pytest.approx(a + b, rel=0.05)
    assert item_popularity.prior(shows, rng.binomial(shows, 0.25))[1] > 200


def test_the_rate_of_an_item_is_that_of_the_other_folds_rows(store, fold, tables):
    item, label = np.asarray(store.train.item), np.asarray(store.train.label)
    for k in range(N_FOLDS):
        out = fold != k
        shows = np.bincount(item[out], minlength=len(store.items))
        clicks = np.bincount(item[out], weights=label[out], minlength=len(store.items))
        mean, m = item_popularity.prior(shows, clicks)
        for r in np.flatnonzero(~out):
            want = (clicks[item[r]] + m * mean) / (shows[item[r]] + m)
            assert tables["train"]["i_rate"][int(r)] == pytest.approx(want, rel=1e-5)


def given_as_loops(store, rows):
    """The longest history of every user without a row in `rows`, less the targets of their rows."""
    fitted_on, histories, targets = {store.train.user[r] for r in rows}, {}, {}
    for split in (store.train, store.valid, store.test):
        for r in range(len(split)):
            user = split.user[r]
            if user not in fitted_on:
                longest = (histories.get(user, []), history(split, store, r).tolist())
                histories[user] = max(reversed(longest), key=len)
                targets.setdefault(user, set()).add(split.item[r])
    return [[i for i in histories[u] if i not in targets[u]] for u in sorted(histories)]


def together_as_loops(store, rows):
    """By pair of items, how many users clicked both: those of `rows`, others before their rows."""
    clicked = {}
    for r in rows:
        clicks = clicked.setdefault(int(store.train.user[r]), {"longest": [], "targets": set()})
        clicks["longest"] = max(clicks["longest"], history(store.train, store, r).tolist(), key=len)
        if store.train.label[r]:
            clicks["targets"].add(int(store.train.item[r]))
    counts = {}
    of_rows = [{*of["longest"], *of["targets"]} for of in clicked.values()]
    for items in (*of_rows, *map(set, given_as_loops(store, rows))):
        for i in items:
            for j in items:
                counts[i, j] = counts.get((i, j), 0) + 1
    return counts


def test_covisitation_counts_the_users_of_other_folds(store, fold, tables):
    for k in range(N_FOLDS):
        counts = together_as_loops(store, np.flatnonzero(fold != k))
        for r in np.flatnonzero(fold == k):
            row, t = tables["train"].row(int(r), named=True), int(store.train.item[r])
            items = [int(i) for i in history(store.train, store, r)]
            pairs = [counts.get((t, i), 0) for i in items]
            spread = [counts.get((t, t), 1) * counts.get((i, i), 1) for i in items]
            cosines = [p / s**0.5 for p, s in zip(pairs, spread, strict=True)]
            got = tuple(row[f"ui_together_{name}"] for name in ("max", "mean", "last", "recent"))
            want = summed_up(cosines)
            assert got == (pytest.approx(want, abs=1e-5) if items else want)
            assert row["ui_pairs"] == (pytest.approx(np.log1p(sum(pairs))) if items else None)


@pytest.mark.parametrize("density", [0, 0.01, 0.3, 1])
def test_values_of_a_sparse_matrix_are_found(density):
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 40)) < density) * rng.integers(1, 9, (40, 40), np.int32)
    row, column = rng.integers(0, 40, 500, np.int32), rng.integers(0, 40, 500, np.int32)
    matrix = sparse.csr_array(dense)
    got = covisitation.values_at(matrix, row, column)
    np.testing.assert_array_equal(got, dense[row, column], strict=True)
    assert len(covisitation.values_at(matrix, row[:0], column[:0])) == 0


def test_item_versus_history_compares_the_target_with_the_history(store, fold, tables):
    """Of the target, of the history's items, and target less recent, as loops."""
    item, label = np.asarray(store.train.item), np.asarray(store.train.label)
    for k in range(N_FOLDS):
        out = np.flatnonzero(fold != k)
        counts = together_as_loops(store, out)
        users = np.array([counts.get((i, i), 0) for i in range(len(store.items))])
        clicked = np.bincount(item[out], weights=label[out], minlength=len(store.items))
        clicked = np.minimum(clicked, users)
        mean, m = item_popularity.prior(users, clicked)
        late = (clicked + m * mean) / (users + m)
        rate = item_popularity.fit(store, out)["i_rate"]
        numbers = {"late": late, "users": np.log1p(users), "rate": rate}
        for r in np.flatnonzero(fold == k):
            row, t = tables["train"].row(int(r), named=True), item[r]
            assert row["i_late"] == pytest.approx(late[t], rel=1e-5)
            assert row["i_users"] == pytest.approx(np.log1p(users[t]), rel=1e-5)
            items = history(store.train, store, r)
            for name, of in numbers.items():
                _, *want = summed_up(of[items].tolist())
                got = [row[f"h_{name}_{how}"] for how in ("mean", "last", "recent")]
                assert got == (pytest.approx(want, rel=1e-4) if len(items) else want)
                if len(items):
                    gap = of[t] - want[-1]
                    assert row[f"ui_{name}_gap"] == pytest.approx(gap, abs=1e-5)


def clicks_in_order(store, fold, k):
    """Of every train user outside fold k: the longest history, then the clicks on top of it; then
    the given histories of all others.
    """
    rows = [r for r in range(len(store.train)) if fold[r] != k]
    found = []
    for user in sorted({store.train.user[r] for r in rows}):
        own = [r for r in rows if store.train.user[r] == user]
        last = max(own, key=lambda r: (len(history(store.train, store, r)), r))
        newest = [
            store.train.item[r]
            for r in own
            if store.train.history[r] == store.train.history[last] and store.train.label[r] == 1
        ]
        found.append([*history(store.train, store, last).tolist(), *map(int, newest)])
    return found + [items for items in given_as_loops(store, rows) if items]


def test_sequences_are_every_users_clicks_in_their_order(store, fold):
    item, user = click_sequences.sequences(store, np.flatnonzero(fold != 0))
    want = clicks_in_order(store, fold, 0)
    got = [item[user == u].tolist() for u in np.unique(user)]
    assert got == want
    assert user.tolist() == sorted(user)


def test_a_given_history_holds_no_target_of_its_user(store):
    """Rows of one user whose histories grow by the target that was clicked before."""
    user = np.zeros(len(store.train), np.int32)
    user[:4] = 1
    items = np.array([5, 6, 7, 8], np.int32)
    histories = [[1, 2], [1, 2, 5], [1, 2, 5, 6], [1, 2, 5, 6, 9]]
    world = replace(
        store,
        train=replace(
            store.train.take(np.arange(4)),
            user=user[:4],
            item=items,
            history=np.arange(4, dtype=np.int32),
        ),
        valid=store.valid.take(np.arange(0)),
        test=store.test.take(np.arange(0)),
        values=np.concatenate(histories).astype(np.int32),
        offsets=np.cumsum([0, *map(len, histories)]),
    )
    given, of_user = given_histories.of_others(world, np.arange(0))
    assert given.tolist() == [1, 2, 9]
    assert of_user.tolist() == [0, 0, 0]
    assert not len(given_histories.of_others(world, np.array([2]))[0])  # a user who is fitted on


def test_click_vectors_are_those_of_the_exact_decomposition(store, fold, tables):
    n_items = len(store.items)
    for k in range(N_FOLDS):
        n = np.zeros((n_items, n_items))
        for clicks in clicks_in_order(store, fold, k):
            for i, j in itertools.combinations(range(len(clicks)), 2):
                if j - i <= 8:
                    n[clicks[i], clicks[j]] += 1 / (j - i)
                    n[clicks[j], clicks[i]] += 1 / (j - i)
        p = n.sum(1) ** 0.75 / (n.sum(1) ** 0.75).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            matched = np.nan_to_num(np.maximum(np.log(n / np.outer(n.sum(1), p)), 0), posinf=0)
        items, size, _ = np.linalg.svd(matched)
        items[matched.sum(1) == 0] = 0
        for width in click_vectors.WIDTHS:
            vectors = (items * np.sqrt(size))[:, :width]
            for r in np.flatnonzero(fold == k):
                t, row = vectors[store.train.item[r]], tables["train"].row(int(r), named=True)
                cosines = [
                    t @ vectors[i] / max(np.linalg.norm(t) * np.linalg.norm(vectors[i]), 1e-12)
                    for i in history(store.train, store, r)
                ]
                names = (f"ui_click_cosine{width}_{n}" for n in ("max", "mean", "last", "recent"))
                got, want = tuple(map(row.get, names)), summed_up(cosines)
                assert got == (pytest.approx(want, abs=2e-3) if cosines else want)


def test_item_times_solve_their_equation(store, fold, tables):
    """The gradient of the sum is zero: (D'D + 3 I) t = D'1, written pair by pair."""
    for k in range(N_FOLDS):
        pairs = [
            p for clicks in clicks_in_order(store, fold, k) for p in itertools.pairwise(clicks)
        ]
        left, right = 3 * np.eye(len(store.items)), np.zeros(len(store.items))
        for a, b in pairs:
            for i, sign in ((b, 1), (a, -1)):
                left[i, b] += sign
                left[i, a] -= sign
                right[i] += sign
        t = np.linalg.solve(left, right)
        for r in np.flatnonzero(fold == k):
            target, row = store.train.item[r], tables["train"].row(int(r), named=True)
            assert row["i_time"] == pytest.approx(t[target], abs=1e-4)
            times = [t[i] for i in history(store.train, store, r)]
            _, mean, last, recent = summed_up(times)
            before = [t[a] for a, b in pairs if b == target] or [t[target]]
            got = [row[f"ui_time_gap_{n}"] for n in ("mean", "last", "recent")]
            got.append(row["ui_time_distance"])
            if times:
                gaps = [t[target] - value for value in (mean, last, recent)]
                assert got == pytest.approx([*gaps, abs(np.mean(before) - last)], abs=1e-4)
            else:
                assert got == [None] * 4


def test_rows_of_a_split_are_taken_by_indices_or_mask(store):
    rows = np.array([3, 1])
    assert store.train.take(rows).item.tolist() == store.train.item[[3, 1]].tolist()
    assert store.train.take(rows).id is None
    assert len(store.test.take(np.asarray(store.test.user) > 0)) == len(store.test)


def test_an_item_without_shows_has_the_mean_rate_where_rates_need_no_smoothing():
    """Every item that is shown is clicked always or never: m is 0."""
    shows, clicks = np.array([0, 9, 9]), np.array([0, 9, 0])
    assert item_popularity.prior(shows, clicks)[1] == 0
    assert item_popularity.smoothed(shows, clicks).tolist() == [0.5, 1, 0]


def test_rows_without_any_history_are_described(store, fold):
    """A block of them has no entries at all."""
    empty = int(np.flatnonzero(np.diff(store.offsets) == 0)[0])
    split = replace(store.test, history=np.full_like(store.test.history, empty))
    for feature in table.FEATURES:
        fitted = (
            [feature.fit(store, np.arange(len(store.train)))] if table.is_fitted(feature) else []
        )
        described = feature.describe(store, split, *fitted)
        assert len(described) == len(split)
        assert not any(c.is_nan().any() for c in described.get_columns() if c.dtype.is_float())


def test_item_times_that_are_not_solved_are_no_features(store, monkeypatch):
    one_step = functools.partial(item_time.cg, maxiter=1)
    monkeypatch.setattr(item_time, "cg", one_step)
    with pytest.raises(RuntimeError, match=r"^i_time: .* of 40 items .* are not solved to 1e-05"):
        item_time.fit(store, np.arange(len(store.train)))
