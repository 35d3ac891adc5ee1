"""From fits on disk to tables, AUCs and scores."""

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from cv.auc import auc
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.bootstrap import paired_bootstrap
from cv.slates.metrics import slate_metrics
from features.store.store import Split
from features.table import KEYS
from pipeline.blending import blenders, evaluate, predictions
from pipeline.reporting.compute_scores import compute
from pipeline.reporting.scores import as_text

N, MODELS, SEEDS, FOLDS = 600, ("qin", "din"), (0, 1), (0, 1, 2)


def split(rng, n, first_user, **columns):
    """Four rows a user: two with the history 0, one item long, then two with 1, three long."""
    empty, row = np.zeros(n, np.int32), np.arange(n)
    user, history = first_user + row // 4, (row % 4 >= 2).astype(np.int32)
    return Split(user=user, item=empty, likes=empty, views=empty, history=history, **columns)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store, its folds, and fits whose logits are the label with noise."""
    folder, rng = tmp_path_factory.mktemp("fits[1]"), np.random.default_rng(0)
    label = {name: rng.integers(0, 2, N) for name in ("train", "valid", "test")}
    store = SimpleNamespace(
        train=split(rng, N, 0, label=label["train"]),
        valid=split(rng, N, 10_000, label=label["valid"]),
        test=split(rng, N, 20_000, id=np.arange(N) + 7),
        offsets=np.array([0, 1, 4]),
    )
    fold = (store.train.user % len(FOLDS)).astype(np.int8)
    pl.DataFrame({"row_id": np.arange(N), "fold": fold}).write_parquet(folder / "folds.parquet")
    fits = {}
    for key in product(MODELS, SEEDS, FOLDS):
        path = fits[key] = folder / "-".join(map(str, key))
        path.mkdir()
        held = np.flatnonzero(fold == key[2])
        for name, ids in (("held", held), ("valid", np.arange(N)), ("test", np.arange(N) + 7)):
            truth = label["train"][held] if name == "held" else label[name]
            noise = rng.normal(size=len(ids)) * (1 if key[0] == "qin" else 2)
            table = {"ID" if name == "test" else "row_id": ids, "logit": truth + noise}
            pl.DataFrame(table).sample(fraction=1, shuffle=True, seed=1).write_parquet(
                path / f"{name}.parquet"
            )
    return SimpleNamespace(store=store, folder=folder, fits=fits, label=label, fold=fold)


def read(path, key):
    return pl.read_parquet(path, glob=False).sort(key)["logit"].to_numpy()


def test_a_models_logit_is_the_mean_over_folds_and_seeds(world):
    tables = predictions.mean_logits(world.store, world.fits)
    for (name, rows), key in zip(tables.items(), ("row_id", "ID"), strict=True):
        for model in MODELS:
            of_seed = []
            for seed in SEEDS:
                parts = [read(world.fits[model, seed, k] / f"{name}.parquet", key) for k in FOLDS]
                of_seed.append(np.mean(parts, 0))
                np.testing.assert_allclose(rows[f"{model}-seed{seed}"], of_seed[-1], atol=1e-14)
            np.testing.assert_allclose(rows[model], np.mean(of_seed, 0), atol=1e-14)
    assert tables["test"].columns[:3] == ["ID", "user_id", "slate"]


def test_the_logits_of_one_fold_are_means_over_seeds_of_its_fits(world):
    """As the out-of-fold logits of its train rows are, on which blenders are fitted."""
    rows = predictions.mean_logits(world.store, world.fits)["test"]
    for k, model in product(FOLDS, MODELS):
        single = [read(world.fits[model, s, k] / "test.parquet", "ID") for s in SEEDS]
        want = np.mean(np.float32(single), 0, dtype=np.float64)
        np.testing.assert_array_equal(predictions.of_fold(rows, world.fits, k)[model], want)


def test_rows_are_marked_by_slate_and_by_the_users_last_event(world):
    oof = predictions.out_of_fold(world.store, world.folder, world.fits)
    assert oof["slate"].to_list() == (np.arange(N) // 2).tolist()
    assert oof["last"].to_list() == (np.arange(N) % 4 >= 2).tolist()


def test_out_of_fold_logits_are_means_over_seeds_of_fits_that_did_not_see_the_row(world):
    oof = predictions.out_of_fold(world.store, world.folder, world.fits)
    for model in MODELS:
        for k in FOLDS:
            held = [read(world.fits[model, s, k] / "held.parquet", "row_id") for s in SEEDS]
            mine = oof.filter(pl.col("fold") == k)
            np.testing.assert_allclose(mine[model], np.mean(held, 0), atol=1e-14)
            np.testing.assert_array_equal(mine[f"{model}-seed1"], held[1])


def test_one_seed_has_no_columns_of_its_own(world):
    fits = {key: path for key, path in world.fits.items() if key[1] == 1}
    single = [predictions.fit_column(*key) for key in fits]
    columns = predictions.mean_logits(world.store, fits)["valid"].columns
    assert columns[4:] == [*MODELS, *single]
    assert predictions.single_seeds(fits, "qin") == {}


def features_of(n, seed):
    rng = np.random.default_rng(seed)
    keys = {key: np.arange(n) for key in KEYS}
    return pl.DataFrame(keys | {"i_rate": rng.random(n), "r_likes": rng.integers(0, 9, n)})


@pytest.fixture(scope="module")
def blended(world, tmp_path_factory):
    """A folder as 60_blend writes it; and the test labels."""
    out = tmp_path_factory.mktemp("blend")
    tables = predictions.mean_logits(world.store, world.fits)
    oof = predictions.out_of_fold(world.store, world.folder, world.fits)
    logits = {model: oof[model].to_numpy() for model in MODELS}
    inputs = blenders.inputs(oof, logits, features_of(N, 0))
    table, scores = evaluate.nested(oof, tables["valid"], world.fits, inputs, slates=True)
    weights = {score.name: score.weights for score in scores}
    table |= blenders.choose(scores, "logistic")
    for i, name in enumerate(("test", "valid")):
        rows = tables[name]
        by_fold = [
            blenders.inputs(
                rows, predictions.of_fold(rows, world.fits, k), features_of(N, 10 * i + k)
            )
            for k in FOLDS
        ]
        tables[name] = blenders.add_blends(rows, by_fold, weights, table["chosen"])
    evaluate.add_valid_auc(table, tables["valid"])
    texts = evaluate.add_weights(table, weights, MODELS)
    (out / "blend.json").write_text(json.dumps(table))
    for name, rows in tables.items():
        rows.write_parquet(out / f"{name}.parquet")
    hidden = out / "hidden_labels.parquet"
    pl.DataFrame({"ID": np.arange(N) + 7, "label": world.label["test"]}).write_parquet(hidden)
    return SimpleNamespace(
        out=out, hidden=hidden, tables=tables, texts=texts, oof=oof, weights=weights, valid=by_fold
    )


def test_every_blender_has_an_auc_on_valid_and_lists_its_models_and_weights(blended):
    table = json.loads((blended.out / "blend.json").read_text())
    assert list(table["blenders"]) == list(BLENDERS_BY_NAME)
    assert table["uses_slates"] is False
    assert table["without_slates"] == "logistic"
    assert table["blenders"]["best_single"]["models"] == ["qin"]
    assert table["blenders"]["features_only"]["models"] == []
    assert table["blenders"]["lightgbm"]["models"] == ["qin", "din"]
    assert set(table["blenders"]["logistic"]["weights"]) == {"qin", "din", "intercept"}
    assert set(table["importances"]) == {"qin", "din", "i_rate", "r_likes"}
    assert set(blended.texts) == {"lightgbm.txt", "features_only.txt", "slate_ranker.txt"}
    for name in ("lightgbm", "slate_lightgbm"):
        assert table["blenders"][name]["file"] == "lightgbm.txt"
    assert set(table["blenders"]["slate_logistic"]["weights"]) == {"qin", "din", "intercept"}
    for name, figures in table["blenders"].items():
        choice = set(figures.get("choice", {}))
        compared = "slate" in name and name != "slate_mean"
        assert choice == ({"temperature", "weight", "bias"} if compared else set())
    assert table["blenders"]["slate_mean"]["weights"] == {
        "slate_lightgbm": 0.5,
        "slate_ranker": 0.5,
    }
    assert table["blenders"]["slate_mean"]["models"] == ["qin", "din"]
    assert all(text.startswith("tree\n") for text in blended.texts.values())
    valid = blended.tables["valid"]
    for name, figures in table["blenders"].items():
        assert figures["valid"] == auc(valid["label"].to_numpy(), valid[name].to_numpy())


def test_a_blender_reads_the_inputs_of_one_fold_at_a_time_and_its_scores_are_averaged(blended):
    """Seen on the stacker: the mean of the inputs would be another score."""
    rows, trees = blended.tables["valid"], BLENDERS_BY_NAME["lightgbm"]
    fitted = blended.weights["lightgbm"]
    want = np.mean([trees.predict(fitted, inputs) for inputs in blended.valid], 0)
    np.testing.assert_array_equal(rows["lightgbm"], want)
    logits = {model: rows[model].to_numpy() for model in MODELS}
    mean_features = features_of(N, 10).with_columns(
        i_rate=sum(features_of(N, 10 + k)["i_rate"] for k in FOLDS) / len(FOLDS)
    )
    of_means = trees.predict(fitted, blenders.inputs(rows, logits, mean_features))
    assert np.abs(of_means - want).max() > 0.01


def test_cv_on_last_events_and_one_fit_stand_beside_the_means(blended):
    table = json.loads((blended.out / "blend.json").read_text())
    last = blended.oof.filter("last")
    for name in MODELS:
        folds = [
            auc(part["label"].to_numpy(), part[name].to_numpy())
            for part in last.sort("fold").partition_by("fold")
        ]
        assert table["models"][name]["cv_last"] == pytest.approx(np.mean(folds), abs=1e-12)
        single = [predictions.fit_column(name, s, k) for s, k in product(SEEDS, FOLDS)]
        valid = blended.tables["valid"]
        aucs = [auc(valid["label"].to_numpy(), valid[c].to_numpy()) for c in single]
        assert table["models"][name]["one_fit"]["valid"] == pytest.approx(np.mean(aucs), abs=1e-12)
    rows = {row["name"]: row for row in compute(blended.out, blended.hidden)["rows"]}
    assert rows["qin, one fit"]["valid"] == table["models"]["qin"]["one_fit"]["valid"]
    assert rows["qin, one fit"]["hidden"] < rows["qin"]["hidden"]
    assert rows["qin"]["cv_last"] == table["models"]["qin"]["cv_last"]


def test_gains_are_paired_bootstraps_against_the_best_single_network(blended, world):
    table = json.loads((blended.out / "blend.json").read_text())
    assert "valid_gain" not in table["blenders"]["best_single"]
    rows = blended.tables["valid"]
    want = paired_bootstrap(
        world.label["valid"], rows["lightgbm"].to_numpy(), rows["qin"].to_numpy(),
        world.store.valid.user,
    )  # fmt: skip
    assert table["blenders"]["lightgbm"]["valid_gain"] == pytest.approx(list(want), abs=1e-12)
    assert want.low < want.estimate < want.high


def test_the_score_table_has_single_seeds_and_gains_and_fits_a_terminal(blended, world):
    scores = compute(blended.out, blended.hidden)
    rows = {row["name"]: row for row in scores["rows"]}
    test, truth = blended.tables["test"], world.label["test"]
    alone = [auc(truth, test[f"qin-seed{seed}"].to_numpy()) for seed in SEEDS]
    assert rows["qin, one seed"]["hidden"] == pytest.approx(np.mean(alone), abs=1e-12)
    assert rows["qin"]["hidden"] == auc(truth, test["qin"].to_numpy()) > np.mean(alone)
    table = json.loads((blended.out / "blend.json").read_text())
    seeds = table["models"]["qin"]["seeds"].values()
    folds = np.mean([seed["folds"] for seed in seeds], 0)
    assert rows["qin, one seed"]["cv"] == pytest.approx(folds.mean())
    assert rows["qin, one seed"]["sd"] == pytest.approx(folds.std(ddof=1))
    assert rows["logistic"]["hidden_gain"] == evaluate.gain(
        test.with_columns(label=pl.Series(truth)), "logistic"
    )
    text = as_text(scores)
    assert max(map(len, text.splitlines())) <= 100
    assert "* logistic" in text
    assert "qin, one seed" in text


def test_without_hidden_labels_their_columns_are_empty(blended):
    scores = compute(blended.out, None)
    assert all(row["hidden"] is row["hidden_gain"] is None for row in scores["rows"])
    assert "over best_single" in as_text(scores)


def test_each_known_chance_of_a_click_has_its_auc(blended, tmp_path):
    scores = compute(blended.out, blended.hidden)
    assert scores["bayes"] is scores["bayes_slates"] is None
    labels = pl.read_parquet(blended.hidden)
    chance = labels["label"] * 0.5 + 0.1 * (labels["ID"] % 7)
    known = labels.with_columns(click_probability=chance, click_probability_in_slate=chance > 0.4)
    known = known.cast({"click_probability_in_slate": pl.Float64})
    known.write_parquet(tmp_path / "hidden.parquet")
    scores = compute(blended.out, tmp_path / "hidden.parquet")
    truth = known["label"].to_numpy()
    assert scores["bayes"] == auc(truth, known["click_probability"].to_numpy())
    assert scores["bayes_slates"] == auc(truth, known["click_probability_in_slate"].to_numpy())


def test_scores_say_which_rows_compare_slates_and_how_slates_are_ranked(blended, world, tmp_path):
    scores = compute(blended.out, blended.hidden)
    uses = {row["name"]: row["slates"] for row in scores["rows"]}
    assert uses["slate_mean"]
    assert not any(uses[name] for name in ("qin", "qin, one fit", "lightgbm"))
    assert scores["without_slates"] is None
    names = [*MODELS, *BLENDERS_BY_NAME]
    assert [list(part) for part in scores["within_slates"].values()] == [names, names]
    test, truth = blended.tables["test"], world.label["test"]
    want = slate_metrics(truth, *(test[c].to_numpy() for c in ("qin", "user_id", "slate")))
    assert scores["within_slates"]["hidden"]["qin"] == want._asdict()
    assert compute(blended.out, None)["within_slates"]["hidden"] is None
    table = json.loads((blended.out / "blend.json").read_text())
    table |= {"chosen": "slate_mean", "uses_slates": True}
    table["external"] = {"file": "theirs.csv", "weight": 0.5}
    (tmp_path / "blend.json").write_text(json.dumps(table))
    for name in ("valid", "test"):
        (tmp_path / f"{name}.parquet").symlink_to(blended.out / f"{name}.parquet")
    mixed = compute(tmp_path, blended.hidden)
    assert mixed["without_slates"] == "logistic"
    assert mixed["rows"][-1]["name"] == "with_external"
    assert mixed["rows"][-1]["slates"]
    assert list(mixed["within_slates"]["hidden"]) == [*names, "with_external"]


def test_features_are_read_as_float32_and_nulls_as_nan():
    rows = pl.DataFrame({"slate": [0, 0, 1]})
    columns = {"a": pl.Series([1, None, 3], dtype=pl.UInt8), "b": pl.Series([0.1, 0.2, None])}
    features = pl.DataFrame({key: [0, 1, 2] for key in KEYS} | columns)
    inputs = blenders.inputs(rows, {"qin": np.zeros(3)}, features)
    expected = np.array([[1, 0.1], [np.nan, 0.2], [3, np.nan]], np.float32)
    assert inputs.names == ("a", "b")
    np.testing.assert_array_equal(inputs.features, expected, strict=True)
