"""A tiny sample from raw data to the submission: runs, second runs, refusals."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.json_files import read_json
from pipeline.config import load as load_config
from pipeline.reporting import leaderboard
from submissions.check import check
from tests.helpers.damage import flip
from tests.helpers.tiny_runs import TINY, last_line, run, run_stages
from tests.helpers.worlds import tiny_challenge

runner = import_module("pipeline.__main__")


def test_the_last_line_is_a_summary_for_scripts(first_run, overrides):
    summary = last_line(first_run)
    assert "\n* is submitted, chosen by nested CV" in first_run
    s = load_config.load("sample", overrides)
    report = Path(first_run.strip().splitlines()[-2].removeprefix("report: "))
    assert report.name == "report.html"
    zipped, _, where = first_run.partition("upload: ")[2].splitlines()[:3]
    assert zipped == summary["submission"]
    assert where == "  https://www.codabench.org/competitions/5372/"
    assert first_run.index("upload: ") < first_run.index("CV ± sd")
    assert "stage 10 of 10 80_report\n" in first_run
    assert report.stat().st_size < 2_000_000
    scores = ("cv", "valid", "hidden", "bayes")
    words = ("chosen_by", "tuned", "slates", "without_slates", "seconds")
    assert list(summary) == ["profile", "run", "submission", *scores, *words]
    assert (summary["chosen_by"], summary["tuned"]) == ("nested CV", [])
    assert (summary["slates"], summary["without_slates"]) == (False, None)
    assert all(0.4 < summary[key] < 1 for key in scores)
    fold = Path(summary["submission"]).parent
    names = [summary["run"], fold.name, read_json(report.with_name("manifest.json"))["run"]]
    assert {*names, read_json(leaderboard.report_spec(s).path / "scores.json")["run"]} == {
        fold.name
    }
    assert (fold.with_name("latest") / "report.html").samefile(report)
    assert report.parent == fold
    ids = pl.read_parquet(graph.challenge_files(s)["test"], glob=False)["ID"].to_numpy()
    assert check(Path(summary["submission"]), ids).errors == []
    manifest = json.loads((fold / "manifest.json").read_text())
    assert (manifest["rules"], manifest["profile"]) == ("research", "sample")
    assert manifest["cv"] == summary["cv"]


def test_every_train_row_has_one_logit_of_a_fit_that_did_not_see_it(first_run, overrides):
    s = load_config.load("sample", overrides)
    oof = pl.read_parquet(graph.blend(s).path / "oof.parquet", glob=False)
    assert oof["row_id"].to_list() == list(range(1200))
    for (model, _, fold), place in graph.fits(s).items():
        held = pl.read_parquet(place.path / "held.parquet", glob=False)
        mine = oof.filter(pl.col("fold") == fold)
        assert held["row_id"].to_list() == mine["row_id"].to_list()
        np.testing.assert_allclose(held["logit"], mine[model], rtol=0, atol=1e-6)


def test_every_network_reads_histories_and_no_padding(first_run, overrides):
    s = load_config.load("sample", overrides)
    written = json.loads((graph.mask(s).path / "mask.json").read_text())
    assert list(written["models"]) == list(s.models)
    for model, found in written["models"].items():
        assert f"55_mask {model} padding pass" in first_run
        assert found["padding"]["passed"]
        assert 0 <= found["shuffled"]["auc_shuffled"] <= 1
    probed = json.loads((graph.probe(s).path / "probe.json").read_text())
    assert all(f"15_probe warning: {f['text']}" in first_run for f in probed["findings"])


def test_a_broken_leaderboard_is_refused_before_the_first_stage(tmp_path):
    (tmp_path / "leaderboard.csv").write_text("a,b\n1,2\n")
    folders = [f"artifacts={tmp_path}/artifacts", f"submissions={tmp_path}"]
    output = run("sample", *TINY, *folders, code=2)
    assert "leaderboard.csv: no column date" in output
    assert not (tmp_path / "artifacts").exists()


def test_a_second_run_does_nothing_and_prints_that(first_run, overrides):
    again = run("sample", *overrides)
    assert "done in" not in again
    assert "nothing to run" in again
    assert "epochs=" not in again
    assert again.count(" is up to date\n") == 9 + 8  # the stages; 50_train has eight fits
    assert last_line(again) | {"seconds": 0} == last_line(first_run) | {"seconds": 0}
    board = Path(overrides[-1].split("=")[1]) / "LEADERBOARD.md"
    assert board.read_text().count("sample/research-") == 1


def test_a_setting_builds_again_only_what_depends_on_it(first_run, overrides):
    typed = [*overrides, "din.fit.learning_rate=2e-3"]
    changed = run("sample", *typed, "train.workers=1", "--to", "50_train")
    lines = [line for line in changed.splitlines() if line.startswith("50_train")]
    redone = [line for line in lines if "epochs=" in line]
    assert len(redone) == 2
    assert all("/din-seed0-fold" in line for line in redone)
    assert sum("is up to date" in line for line in lines) == 6
    assert "50_train done in" in changed.splitlines()[-1]
    s = load_config.load("sample", typed)
    assert [runner.status(s, stage) for stage in graph.stages(s)[-4:]] == ["to build"] * 4


def test_a_dry_run_lists_and_runs_nothing(first_run, overrides):
    output = run("sample", *overrides, "--dry-run", "folds.seed=1")
    assert "10_prepare up to date" in output
    assert "20_folds to build" in output
    assert "80_report to build" in output
    output = run(
        "sample", *overrides, "--dry-run", "--from", "20_folds", "--to", "30_features", "--force"
    )
    assert output.splitlines() == ["20_folds to build again", "30_features to build again"]


def test_bytes_that_changed_in_place_are_found(first_run, overrides):
    s, dry = load_config.load("sample", overrides), ("--dry-run", "--verify")
    assert "every sha256 is the recorded one" in run("sample", *overrides, *dry)
    fit = next(iter(graph.fits(s).values())).path
    places = {
        graph.data(s).path: "hidden_labels.parquet",
        graph.store(s).path: "train/label.npy",
        graph.folds(s).path: "folds.parquet",
        graph.features(s).path: "train.parquet",
        fit: "held.parquet",
        graph.submission(s).path: "submission.zip",
    }
    try:
        for folder, name in places.items():
            flip(folder / name)
        found = run("sample", *overrides, *dry, code=2)
        assert found.count("error: ") == 1
        for folder in places:
            assert f"{folder} is damaged" in found
        at_use = run("sample", *overrides, "models=qin", code=2)  # a blend that is not there yet
        assert f"{graph.store(s).path} is damaged: the sha256 of train/label.npy differs" in at_use
    finally:
        for folder, name in places.items():
            flip(folder / name)
    assert "verified" in run("sample", *overrides, *dry)


def test_strict_rules_submit_one_network_of_the_official_split(first_run, overrides):
    assert "folds.n=2: not read, the official split" in run(
        "sample", *overrides, "rules=strict", code=2
    )
    overrides = [word for word in overrides if not word.startswith("folds.")]
    strict = [*overrides, "rules=strict"]
    s = load_config.load("sample", strict)
    run_stages(strict, *(name for name in graph.stages(s) if name >= "20_folds"))
    line = json.loads(runner.summary(s, 0))
    assert line["cv"] is None
    manifest = json.loads((Path(line["submission"]).parent / "manifest.json").read_text())
    assert (manifest["rules"], manifest["blend"]) == ("strict", "best_single")
    assert len(manifest["runs"]) == 1
    refused = run("sample", *overrides, "rules=strict", "blend.method=rank_mean", code=2)
    assert "rules=strict refuses blend.method=rank_mean" in refused


def test_a_test_set_in_any_order_is_submitted_in_that_order(first_run, overrides, tmp_path):
    s = load_config.load("sample", overrides)
    folder = shutil.copytree(graph.data(s).path / "challenge", tmp_path / "shuffled")
    test = pl.read_parquet(folder / "test.parquet").sample(fraction=1, shuffle=True, seed=1)
    test.write_parquet(folder / "test.parquet")
    own = [*TINY[4:], f"artifacts={tmp_path}", f"submissions={tmp_path}", "models=din"]
    own.append(f"data.dir={folder}")
    names = ("00_data", "10_prepare", "20_folds", "30_features", "50_train", "60_blend")
    run_stages(own, *names, "70_submit", profile="challenge")
    zipped = graph.submission(load_config.load("challenge", own)).path / "submission.zip"
    assert check(zipped, test["ID"].to_numpy()).errors == []


def test_a_stage_alone_names_the_stage_that_must_run_before(overrides, tmp_path):
    elsewhere = [*TINY, f"artifacts={tmp_path}"]
    output = run("pipeline.20_folds", "sample", *elsewhere, code=2, shell=False)
    assert "it is written by: python -m pipeline.00_data, with" in output
    assert not any(tmp_path.iterdir())


def test_divergence_names_the_fit_and_publishes_nothing(first_run, overrides):
    wild = [*overrides, "models=qin", "qin.fit.learning_rate=1e30"]
    with pytest.raises(InputError, match=r"qin, seed 0, fold.*lower qin\.fit\.learning_rate"):
        run_stages(wild, "50_train")
    s = load_config.load("sample", wild)
    assert not any(place.done for place in graph.fits(s).values())


def test_broken_input_is_refused_and_nothing_is_written(tmp_path):
    folder = tiny_challenge(tmp_path / "data")
    train = pl.read_parquet(folder / "train.parquet")
    train.with_columns(label=pl.col("label") + 1).write_parquet(folder / "train.parquet")
    output = run("challenge", f"data.dir={folder}", f"artifacts={tmp_path}/artifacts", code=2)
    assert "train.parquet" in output
    assert "label" in output
    assert not [p for p in tmp_path.glob("artifacts/**/*") if p.is_file()]
    assert "data.dir=FOLDER" in run("challenge", f"data.dir={tmp_path}", code=2)
    assert "error: data.dir is empty; name the folder" in run("challenge", code=2)


def test_a_dry_run_names_the_study_that_training_needs(tmp_path):
    folders = [f"artifacts={tmp_path}/artifacts", f"submissions={tmp_path}/submissions"]
    output = run("sample", *TINY, *folders, "train.settings=tuned", "--dry-run")
    assert "50_train needs a finished study: python -m pipeline.40_tune sample data." in output
    assert "tune.trials=50" in output


def test_results_of_an_older_version_are_named_before_the_first_run_alone(tmp_path):
    (tmp_path / "artefacts").mkdir()
    command = ["sample", "--dry-run", f"artifacts={tmp_path}/artifacts"]
    note = f"{tmp_path}/artefacts has results of an older version, which are not read"
    assert note in run(*command)
    (tmp_path / "artifacts").mkdir()
    assert note not in run(*command)


def test_help_and_bad_arguments():
    assert "--dry-run" in run("--help")
    assert "did you mean 'sample'?" in run("smaple", code=2)
    assert "comes after" in run("sample", "--from", "60_blend", "--to", "20_folds", code=2)
