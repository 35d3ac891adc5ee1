"""From fits on disk to tables, figures and scores."""

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from features.errors import InputError
from features.store.store import Split
from features.table import KEYS
from pipeline.blending import evaluate, external, predictions
from pipeline.config.load import BlendSettings
from pipeline.reporting import scores

N, MODELS, SEEDS, FOLDS = 600, ("qin", "din"), (0, 1), (0, 1, 2)


def split(rng, n, first_user, **more):
    empty = np.zeros(n, np.int32)
    user = first_user + np.arange(n) // 4
    return Split(user=user, item=empty, likes=empty, views=empty, history=empty, **more)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store, its folds, and fits whose logits see the label through noise."""
    folder, rng = tmp_path_factory.mktemp("fits"), np.random.default_rng(0)
    label = {name: rng.integers(0, 2, N) for name in ("train", "valid", "test")}
    store = SimpleNamespace(
        train=split(rng, N, 0, label=label["train"]),
        valid=split(rng, N, 10_000, label=label["valid"]),
        test=split(rng, N, 20_000, id=np.arange(N) + 7),
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
    return pl.read_parquet(path).sort(key)["logit"].to_numpy()


def test_a_models_logit_is_the_mean_over_folds_and_seeds(world):
    tables = predictions.predictions(world.store, world.fits)
    for (name, rows), key in zip(tables.items(), ("row_id", "ID"), strict=True):
        for model in MODELS:
            of_seed = []
            for seed in SEEDS:
                parts = [read(world.fits[model, seed, k] / f"{name}.parquet", key) for k in FOLDS]
                of_seed.append(np.mean(parts, 0))
                np.testing.assert_allclose(rows[f"{model}-seed{seed}"], of_seed[-1], atol=1e-14)
            np.testing.assert_allclose(rows[model], np.mean(of_seed, 0), atol=1e-14)
    assert tables["test"].columns[:2] == ["ID", "user_id"]


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
    assert predictions.predictions(world.store, fits)["valid"].columns[3:] == list(MODELS)
    assert predictions.single_seeds(fits, "qin") == {}


def features_of(n, seed):
    rng = np.random.default_rng(seed)
    keys = {key: np.arange(n) for key in KEYS}
    return pl.DataFrame(keys | {"i_rate": rng.random(n), "r_likes": rng.integers(0, 9, n)})


@pytest.fixture(scope="module")
def blended(world, tmp_path_factory):
    """The folder of 60_blend, made by the functions that it calls; and the test labels."""
    out = tmp_path_factory.mktemp("blend")
    tables = predictions.predictions(world.store, world.fits)
    oof = predictions.out_of_fold(world.store, world.folder, world.fits)
    given = predictions.inputs(oof, MODELS, features_of(N, 0))
    table, weights = evaluate.nested(oof, tables["valid"], world.fits, given)
    table |= predictions.choose(table, "logistic")
    for i, (name, rows) in enumerate(tables.items()):
        given = predictions.inputs(rows, MODELS, features_of(N, 1 + i))
        tables[name] = predictions.score(rows, given, weights, table["chosen"])
    evaluate.add_scores(table, tables["valid"])
    texts = evaluate.add_weights(table, weights, MODELS)
    (out / "blend.json").write_text(json.dumps(table))
    tables["test"].write_parquet(out / "test.parquet")
    hidden = out / "hidden_labels.parquet"
    pl.DataFrame({"ID": np.arange(N) + 7, "label": world.label["test"]}).write_parquet(hidden)
    return SimpleNamespace(out=out, hidden=hidden, tables=tables, texts=texts, oof=oof)


def test_every_blender_is_judged_and_says_what_it_is_made_of(blended):
    table = json.loads((blended.out / "blend.json").read_text())
    assert list(table["blenders"]) == list(predictions.BLENDERS_BY_NAME)
    assert table["blenders"]["best_single"]["models"] == ["qin"]
    assert table["blenders"]["features_only"]["models"] == []
    assert table["blenders"]["lightgbm"]["models"] == ["qin", "din"]
    assert set(table["blenders"]["logistic"]["weights"]) == {"qin", "din", "intercept"}
    assert set(table["importances"]) == {"qin", "din", "i_rate", "r_likes"}
    assert set(blended.texts) == {"lightgbm.txt", "features_only.txt"}
    assert table["blenders"]["lightgbm"]["file"] == "lightgbm.txt"
    assert all(text.startswith("tree\n") for text in blended.texts.values())
    valid = blended.tables["valid"]
    for name, judged in table["blenders"].items():
        assert judged["valid"] == auc(valid["label"].to_numpy(), valid[name].to_numpy())


def test_gains_are_paired_bootstraps_against_the_best_single_network(blended, world):
    table = json.loads((blended.out / "blend.json").read_text())
    assert "valid_gain" not in table["blenders"]["best_single"]
    rows = blended.tables["valid"]
    want = paired_bootstrap(
        world.label["valid"], rows["lightgbm"].to_numpy(), rows["qin"].to_numpy(),
        world.store.valid.user,
    )  # fmt: skip
    assert table["blenders"]["lightgbm"]["valid_gain"] == pytest.approx(list(want), abs=1e-12)
    assert want.low < want.difference < want.high


def test_the_score_table_has_single_seeds_and_gains_and_fits_a_terminal(blended, world):
    judged = scores.judge(blended.out, blended.hidden)
    rows = {row["name"]: row for row in judged["rows"]}
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
    text = scores.as_text(judged)
    assert max(map(len, text.splitlines())) <= 100
    assert "* logistic" in text
    assert "qin, one seed" in text


def test_without_hidden_labels_their_columns_are_empty(blended):
    judged = scores.judge(blended.out, None)
    assert all(row["hidden"] is row["hidden_gain"] is None for row in judged["rows"])
    assert "over best_single" in scores.as_text(judged)


@pytest.mark.parametrize("how", ["rank", "logit"])
def test_an_outsiders_scores_weigh_what_is_set(tmp_path, how):
    rng = np.random.default_rng(0)
    ours, theirs, ids = rng.random(50), rng.random(50), np.arange(50)
    theirs[:5] = theirs[5]  # ties
    path = tmp_path / "theirs.csv"
    pl.DataFrame({"ID": ids, "Task2": theirs}).write_csv(path)
    s = BlendSettings(external=str(path), external_weight=0.3, external_mean=how)
    got = external.mix(ours, ids, s)
    if how == "logit":
        want = expit(0.7 * logit(ours) + 0.3 * logit(theirs))
    else:
        ranks = [
            ((x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1)) / 2) / 50 for x in (ours, theirs)
        ]
        want = 0.7 * ranks[0] + 0.3 * ranks[1]
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert ((got > 0) & (got < 1)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.head(3), "1 are missing, first 3"),
        (lambda t: t.with_columns(ID=pl.col("ID") + 1), "first 0"),
        (lambda t: t.with_columns(Task2=pl.col("Task2") * 9), "values in [0, 1]"),
        (lambda t: t.with_columns(Task2=pl.lit(float("nan"))), "expected a number"),
        (lambda t: t.rename({"Task2": "Task1"}), "missing: Task2"),
        (lambda t: t.reverse(), "the order of the test set"),
    ],
)
def test_an_outsiders_file_that_does_not_fit_is_refused(tmp_path, change, said):
    path = tmp_path / "theirs.csv"
    good = pl.DataFrame({"ID": np.arange(4), "Task2": [0.1, 0.4, 0.2, 1.0]})
    change(good).write_csv(path)
    s = BlendSettings(external=str(path))
    with pytest.raises(InputError) as error:
        external.mix(np.linspace(0.1, 0.9, 4), np.arange(4), s)
    assert said in str(error.value)
    assert "theirs.csv" in str(error.value)


def test_scores_of_0_or_1_have_no_logit(tmp_path):
    path = tmp_path / "theirs.csv"
    pl.DataFrame({"ID": np.arange(4), "Task2": [0.1, 0.4, 0.2, 1.0]}).write_csv(path)
    s = BlendSettings(external=str(path), external_mean="logit")
    with pytest.raises(InputError, match=r"1 scores of .* use blend.external_mean=rank"):
        external.mix(np.linspace(0.1, 0.9, 4), np.arange(4), s)
