"""Every feature keeps the contract of features/table.py; toy features that break it are named."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from features import columns, table
from tests.helpers import feature_contract

FOLDER = Path(columns.__path__[0])


def test_every_file_of_columns_is_a_feature_of_the_table():
    assert feature_contract.unlisted(FOLDER, table.FEATURES) == []


def test_no_two_features_add_the_same_column():
    assert feature_contract.doubled(table.FEATURES) == []


@pytest.mark.parametrize("feature", table.FEATURES, ids=feature_contract.file_of)
def test_a_feature_keeps_the_contract(feature, store, fold):
    assert feature_contract.problems(feature, store, fold) == []


@pytest.mark.parametrize(
    "feature", [f for f in table.FEATURES if table.is_fitted(f)], ids=feature_contract.file_of
)
def test_what_is_fitted_moves_with_the_labels_of_the_other_folds(feature, store, fold):
    """Otherwise the checks on labels above would check nothing."""
    held = np.flatnonzero(fold == 0)
    before = table.build(store, fold, (feature,))
    after = table.build(
        feature_contract.with_flipped_labels(store, "train", held), fold, (feature,)
    )
    others = np.flatnonzero(fold != 0)
    assert feature_contract.moved(feature, before, after, "train", others)


def test_any_rows_have_the_columns_that_rows_of_test_have(store, fold):
    """Of the test rows, with histories of their own: those of `build` and `of_fold`."""
    test, built = store.test, table.build(store, fold)
    numbers, history = np.unique(test.history, return_inverse=True)
    parts = [store.values[store.offsets[h] : store.offsets[h + 1]] for h in numbers]
    offsets = np.cumsum([0, *map(len, parts)])
    rows = replace(test, history=history.astype(np.int32))
    tables = table.by_fold(store, fold, rows, np.concatenate(parts), offsets)
    for k, described in enumerate(tables):
        fitted = built[table.of_fold("test", k)].drop(table.KEYS)
        assert described.equals(built["test"].with_columns(fitted))
    assert k == fold.max()


# ---- toy features, each with one thing that a contributor may forget ----


def length(store, split):
    return np.diff(store.offsets)[np.asarray(split.history)]


def toy(**parts) -> ModuleType:
    """A feature that is right but for `parts`: h_toy, the length of the history."""
    module = ModuleType("features.columns.toy")
    module.COLUMNS = {"h_toy": pl.Int32}
    module.describe = lambda store, split: pl.DataFrame(
        {"h_toy": length(store, split)}, schema=module.COLUMNS
    )
    for name, part in parts.items():
        if part is None:
            delattr(module, name)
        else:
            setattr(module, name, part)
    return module


def describing(values, dtype=pl.Float64):
    """`describe` of an unfitted feature with the column h_toy."""
    return lambda store, split: pl.DataFrame(
        {"h_toy": values(store, split)}, schema={"h_toy": dtype}
    )


def own_label(store, split):
    label = np.zeros(len(split)) if split.label is None else np.asarray(split.label)
    return pl.DataFrame({"h_toy": label}, schema={"h_toy": pl.Int32})


def mean_label(store, rows):
    return float(np.mean(store.train.label[rows]))


def clicks_of_all(store, rows):
    return np.bincount(store.train.item, store.train.label, minlength=len(store.items))


def shows_of_all(store, rows):
    return np.bincount(store.train.item, minlength=len(store.items))


def clicks_of_valid(store, rows):
    return np.bincount(store.valid.item, store.valid.label, minlength=len(store.items))


def by_item(store, split, fitted):
    return pl.DataFrame({"h_toy": fitted[np.asarray(split.item)]}).cast(pl.Int32)


BROKEN = {
    "no COLUMNS": ({"COLUMNS": None}, "COLUMNS is missing"),
    "no describe": ({"describe": None}, "describe(store, split) is missing"),
    "no fitted": ({"fit": mean_label}, "expected describe(store, split, fitted)"),
    "prefix": (
        {"COLUMNS": {"toy": pl.Int32}},
        "'toy' has none of the prefixes i_, u_, ui_, h_, r_",
    ),
    "text": ({"COLUMNS": {"h_toy": pl.String}}, "'h_toy' is String: expected a numeric dtype"),
    "dtype": ({"describe": describing(length)}, "returns h_toy as Float64; COLUMNS has Int32"),
    "columns": (
        {
            "COLUMNS": {"h_toy": pl.Int32, "h_more": pl.Int32},
            "describe": describing(length, pl.Int32),
        },
        "returns ['h_toy']; COLUMNS has ['h_toy', 'h_more']",
    ),
    "rows": (
        {"describe": describing(lambda store, split: length(store, split)[1:], pl.Int32)},
        "returns 59 rows for the 60 rows of train",
    ),
    "NaN": (
        {
            "COLUMNS": {"h_toy": pl.Float64},
            "describe": describing(lambda store, split: np.full(len(split), np.nan)),
        },
        "h_toy holds NaN or infinity in train: return null",
    ),
    "its own label": ({"describe": own_label}, "h_toy moves with the labels of valid"),
    "its own label, though fitted": (
        {"fit": mean_label, "describe": lambda store, split, fitted: own_label(store, split)},
        "h_toy moves with the labels of valid",
    ),
    "labels of its own fold": (
        {"fit": clicks_of_all, "describe": by_item},
        "h_toy moves with the labels of the fold that it describes",
    ),
    "rows of its own fold": (
        {"fit": shows_of_all, "describe": by_item},
        "h_toy of a fold changes when the fold's rows leave train",
    ),
    "other rows": (
        {"describe": lambda store, split: by_item(store, split, shows_of_all(store, None))},
        "h_toy of a fold changes when the fold's rows leave train",
    ),
    "labels of valid": (
        {"fit": clicks_of_valid, "describe": by_item},
        "h_toy moves with the labels of valid",
    ),
}


@pytest.mark.parametrize(("parts", "message"), BROKEN.values(), ids=BROKEN)
def test_what_a_contributor_forgot_is_named(parts, message, store, fold):
    found = feature_contract.problems(toy(**parts), store, fold)
    assert all(text.startswith("features/columns/toy.py: ") for text in found)
    assert any(message in text for text in found), found


def test_a_toy_feature_with_nothing_forgotten_passes(store, fold):
    assert feature_contract.problems(toy(), store, fold) == []
    fitted = toy(
        fit=lambda store, rows: np.bincount(store.train.item[rows], minlength=len(store.items)),
        describe=by_item,
    )
    assert feature_contract.problems(fitted, store, fold) == []


def test_a_file_that_the_table_does_not_list_is_named(tmp_path):
    for name in ("__init__", "history_ops", "history_length", "toy"):
        (tmp_path / f"{name}.py").touch()
    message = "features/columns/toy.py is not listed: add it to FEATURES in features/table.py"
    assert feature_contract.unlisted(tmp_path, table.FEATURES) == [message]
    assert feature_contract.unlisted(tmp_path, (*table.FEATURES, toy())) == []


def test_a_column_of_two_features_is_named():
    other = toy(COLUMNS={"h_length": pl.Int32})
    message = "column 'h_length' is added by history_length and toy: rename one of them"
    assert feature_contract.doubled((*table.FEATURES, other)) == [message]
