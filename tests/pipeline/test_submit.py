"""70_submit: a score of 60_blend becomes a submission in the order of the challenge's file."""

import functools
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from cv.forecast import forecast
from features.errors import InputError
from pipeline import graph, source_files
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.config import load as load_config
from pipeline.runtime.build import build

# Before a test patches `graph`: `@builds` keeps the function that names the artifact.
stage = importlib.import_module("pipeline.70_submit")

N = 40
TABLE = {"chosen": "mean", "chosen_by": "nested CV", "blenders": {"mean": {"models": []}}}
TABLE["blenders"]["mean"] |= {"cv": 0.7, "valid": 0.8}
TABLE |= {"uses_slates": False, "without_slates": "mean"}
VALID = pl.DataFrame({"user_id": np.arange(N) // 4, "label": np.arange(N) % 3 == 0})
VALID = VALID.cast({"label": pl.Int64}).with_columns(
    probability=0.1 * pl.col("label") + np.random.default_rng(1).random(N)
)


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Runs the stage on a blend whose test rows are `change`d; returns the submission's folder."""
    test_file, ids = tmp_path / "test.parquet", np.random.default_rng(0).permutation(N) + 5
    pl.DataFrame({"ID": ids, "user_id": ids}).write_parquet(test_file)
    blended = pl.DataFrame({"ID": ids, "user_id": ids, "probability": np.linspace(0.1, 0.9, N)})

    def run(name, change, settings=(), fits=None, **table):
        blend = ArtifactSpec("60_blend", name, tmp_path / "60_blend")
        with write_artifact(blend) as out:
            change(blended).write_parquet(out / "test.parquet")
            VALID.write_parquet(out / "valid.parquet")
            (out / "blend.json").write_text(json.dumps(TABLE | table))
        submission = ArtifactSpec("70_submit", name, tmp_path / "submissions")
        results = {"blend": blend, "fits": fits or {}, "challenge_files": {"test": test_file}}
        results["submission"] = submission
        results |= {
            name: ArtifactSpec(name, name, tmp_path / "artifacts")
            for name in ("store", "folds", "features")
        }
        for function, result in results.items():
            monkeypatch.setattr(graph, function, lambda s, result=result: result)
        monkeypatch.setattr(source_files, "challenge_files", lambda s: {"test": test_file})
        write = stage.work.__wrapped__
        s = load_config.load("sample", list(settings))
        build(submission, False, functools.partial(write, s))
        return submission.path

    return SimpleNamespace(run=run, ids=ids)


def test_the_rows_of_the_blend_may_come_in_any_order(submit):
    in_order = submit.run("in_order", lambda rows: rows)
    shuffled = submit.run("shuffled", lambda rows: rows.sample(fraction=1, shuffle=True, seed=1))
    for name in ("prediction.csv", "submission.zip"):
        assert (shuffled / name).read_bytes() == (in_order / name).read_bytes()
    written = pl.read_csv(in_order / "prediction.csv")
    assert written["ID"].to_list() == submit.ids.tolist()
    assert written["Task2"].to_list() == np.linspace(0.1, 0.9, N).tolist()
    manifest = json.loads((in_order / "manifest.json").read_text())
    assert manifest["cv"] == 0.7
    assert manifest["slates"] is False
    assert manifest["prefix_rows"] == {}
    assert manifest["without_slates"] is manifest["needs"] is None


def test_the_manifest_names_the_artifacts_by_paths_from_its_folder(submit, tmp_path):
    fit = ArtifactSpec("50_train", "din-seed0-fold1", tmp_path / "artifacts")
    folder = submit.run("paths", lambda rows: rows, fits={("din", 0, 1): fit})
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    (one,) = artifacts.pop("fits")
    assert (one["model"], one["seed"], one["fold"]) == ("din", 0, 1)
    assert set(artifacts) == {"store", "folds", "features", "blend"}
    for path in (one["path"], *artifacts.values()):
        assert not Path(path).is_absolute()
        assert (folder / path).resolve().is_relative_to(tmp_path)
    assert (folder / artifacts["blend"] / "blend.json").is_file()


def test_the_manifest_says_that_slates_are_used_and_what_is_reached_without(submit):
    compared = {"models": [], "cv": 0.75, "valid": 0.85}
    table = {"chosen": "slate_mean", "uses_slates": True}
    table["blenders"] = TABLE["blenders"] | {"slate_mean": compared}
    folder = submit.run("slates", lambda rows: rows, **table)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["slates"], manifest["blend"], manifest["cv"]) == (True, "slate_mean", 0.75)
    assert manifest["without_slates"] == {"blend": "mean", "cv": 0.7, "valid": 0.8}
    assert manifest["needs"].startswith("whole slates")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.filter(pl.col("ID") != 7), "no score for ID 7$"),
        (lambda rows: pl.concat([rows, rows.filter(pl.col("ID") == 7)]), "several scores for ID 7"),
        (lambda rows: rows.with_columns(pl.col("ID").replace(7, 99)), "no test row for ID 99"),
    ],
)
def test_ids_that_differ_from_the_test_file_are_refused(submit, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        submit.run("broken", change)
    assert list((tmp_path / "submissions").glob("[!.]*")) == []


def test_the_manifest_forecasts_by_official_valid(submit):
    manifest = json.loads((submit.run("kfold", lambda rows: rows) / "manifest.json").read_text())
    columns = (VALID[name].to_numpy() for name in ("label", "probability", "user_id"))
    assert manifest["forecast"] == forecast(*columns, n_test_users=N)._asdict()
    mixed = submit.run("mixed", lambda rows: rows, external={"file": "theirs.csv"})
    assert json.loads((mixed / "manifest.json").read_text())["forecast"] is None


def test_where_official_valid_chose_networks_and_epochs_the_forecast_knows(submit, tmp_path):
    fits = {}
    for model, curve in {"qin": (0.6, 0.7, 0.68, 0.5), "din": (0.9, 0.1)}.items():
        fits[model, 0, graph.OFFICIAL] = fit = ArtifactSpec(
            "50_train", model, tmp_path / "fits", {"network": {"fit": {"max_epochs": 9}}}
        )
        with write_artifact(fit) as out:
            out.report = {"epochs": [{"score": score} for score in curve], "auc": curve[0]}
            out.report |= {"best_epoch": 1, "chance_error": 0.1, "rows": 50, "prefix_rows": 20}
    best = {"mean": {"models": ["qin"], "cv": None, "valid": 0.7}}
    table = {"models": {"qin": {"valid": 0.7}, "din": {"valid": 0.696}}, "blenders": best}
    settings = ["rules=strict", "models=qin,din"]
    folder = submit.run("strict", lambda rows: rows, settings, fits, **table)
    manifest = json.loads((folder / "manifest.json").read_text())
    found = manifest["forecast"]
    columns = (VALID[name].to_numpy() for name in ("label", "probability", "user_id"))
    want = forecast(*columns, n_test_users=N, choices=[[0.7, 0.696], [0.7, 0.68]])
    assert found == want._asdict()
    assert manifest["prefix_rows"] == {fits["qin", 0, graph.OFFICIAL].path.name: "20 of 50"}
    assert manifest["warnings"] == [
        "qin seed 0 hardly ranks better than chance: AUC 0.6000;"
        " try another qin.fit.learning_rate, or more users"
    ]


def test_the_rival_of_an_epoch_stands_beside_it():
    best_and_rival = stage._best_and_rival
    assert best_and_rival([0.7]) == (0.7, 0.7)
    assert best_and_rival([0.7, 0.6, 0.69]) == (0.7, 0.6)
    assert best_and_rival([0.65, 0.7, 0.6]) == (0.7, 0.65)
