"""Tabular features: contracts, equations as loops, and folds that cannot see themselves.

run: ./run_tests.sh tests/test_features.py
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from features import prepare, table
from features.challenge import files
from features.store import open_store
from tests.worlds import tiny_challenge

N_FOLDS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    out = tmp_path_factory.mktemp("store")
    prepare.write_store(out, files(tiny_challenge(folder, rows=60)), published_sizes=False)
    return open_store(out)


@pytest.fixture(scope="module")
def fold(store):
    return (np.asarray(store.train.user) % N_FOLDS).astype(np.int8)


@pytest.fixture(scope="module")
def tables(store, fold):
    return table.build(store, fold)


def history(split, store, r):
    h = split.history[r]
    return store.values[store.offsets[h] : store.offsets[h + 1]]


def test_every_row_is_there_once_in_order_with_the_columns_promised(store, tables):
    promised = {n: d for m in (*table.OF_ROWS, *table.FITTED) for n, d in m.COLUMNS.items()}
    for name, built in tables.items():
        assert built["row_id"].to_list() == list(range(len(getattr(store, name))))
        assert dict(built.schema).items() >= promised.items()
        assert "label" not in built.columns


def test_content_similarity_matches_its_equation_written_as_loops(store, tables):
    content = np.asarray(store.items.content, np.float64)
    for r, row in enumerate(tables["train"].iter_rows(named=True)):
        t = content[store.train.item[r]]
        cosines = [
            float(t @ content[i] / (np.linalg.norm(t) * np.linalg.norm(content[i]) or 1))
            for i in history(store.train, store, r)
        ]
        want = (max(cosines), np.mean(cosines), cosines[-1]) if cosines else (None,) * 3
        got = (row["ui_content_max"], row["ui_content_mean"], row["ui_content_last"])
        assert got == (pytest.approx(want, abs=1e-5) if cosines else want)
        assert row["h_length"] == len(cosines)


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


@pytest.mark.parametrize("k", range(N_FOLDS))
def test_a_fold_cannot_see_its_own_labels(store, fold, tables, k):
    label = np.where(fold == k, 1 - np.asarray(store.train.label), store.train.label)
    flipped = replace(store, train=replace(store.train, label=label))
    again = table.build(flipped, fold)["train"]
    mine = pl.Series(fold) == k
    assert again.filter(mine).equals(tables["train"].filter(mine))


@pytest.mark.parametrize("module", table.FITTED, ids=lambda m: m.__name__)
def test_fitted_tables_have_one_row_a_key_and_joins_keep_the_order(module, store):
    rows = table.describe(store, "train")
    fitted = module.fit(rows)
    assert fitted[module.KEY].is_unique().all()
    joined = module.join(rows.reverse(), fitted)
    assert joined["row_id"].to_list() == rows.reverse()["row_id"].to_list()
