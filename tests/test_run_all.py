"""The whole way on a tiny sample, twice; then its variations."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline import graph
from pipeline.artifacts import spec, store
from pipeline.artifacts.json_files import read_json
from pipeline.config import load as load_config
from pipeline.reporting import compute_scores, leaderboard, report
from pipeline.reporting.run import gather
from submissions.check import check
from tests.helpers.file_watch import watched
from tests.helpers.worlds import tiny_challenge

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "data.users=300", "data.valid_users=60", "data.test_users=80", "data.items=200", "folds.n=2",
    "network.fit.max_epochs=2", "network.embedding_dim=4", "network.content_dim=4",
]  # fmt: skip


def run(*words: str, code: int = 0, shell: bool = True, **variables: str) -> str:
    """Output of run_all.sh (or of a module) in the environment that runs the tests."""
    command = ["bash", "run_all.sh"] if shell else [sys.executable, "-m"]
    env = os.environ | {"VIRTUAL_ENV": sys.prefix} | variables
    done = subprocess.run([*command, *words], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [*TINY, f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]


@pytest.fixture(scope="module")
def first(words):
    return run("sample", *words)


def last_line(output: str) -> dict:
    return json.loads(output.strip().splitlines()[-1])


def test_the_last_line_says_what_a_script_wants_to_know(first, words):
    said = last_line(first)
    assert "is submitted, chosen by" in first.strip().splitlines()[-4]
    report = Path(first.strip().splitlines()[-2].removeprefix("report: "))
    assert report.name == "report.html"
    assert report.stat().st_size < 2_000_000
    keys = ["profile", "submission", "cv", "valid", "hidden", "bayes", "seconds"]
    assert list(said) == keys
    assert all(0.4 < said[key] < 1 for key in ("cv", "valid", "hidden", "bayes"))
    s = load_config.load("sample", words)
    (fold,) = Path(said["submission"]).parent.parent.iterdir()
    ids = pl.read_parquet(graph.challenge_files(s)["test"])["ID"].to_numpy()
    assert check(Path(said["submission"]), ids).errors == []
    manifest = json.loads((fold / "manifest.json").read_text())
    assert (manifest["rules"], manifest["profile"]) == ("research", "sample")
    assert manifest["cv"] == said["cv"]


def test_every_train_row_has_one_logit_of_a_fit_that_did_not_see_it(first, words):
    s = load_config.load("sample", words)
    oof = pl.read_parquet(graph.blend(s).path / "oof.parquet")
    assert oof["row_id"].to_list() == list(range(1200))
    for (model, _, fold), place in graph.fits(s).items():
        held = pl.read_parquet(place.path / "held.parquet")
        mine = oof.filter(pl.col("fold") == fold)
        assert held["row_id"].to_list() == mine["row_id"].to_list()
        np.testing.assert_allclose(held["logit"], mine[model], rtol=0, atol=1e-6)


def test_every_network_is_said_to_read_histories_and_no_padding(first, words):
    s = load_config.load("sample", words)
    written = json.loads((graph.mask(s).path / "mask.json").read_text())
    assert list(written["models"]) == list(s.models)
    for model, found in written["models"].items():
        assert f"55_mask {model} padding pass" in first
        assert found["padding"]["passed"]
        assert 0 <= found["shuffled"]["auc_shuffled"] <= 1
    probed = json.loads((graph.probe(s).path / "probe.json").read_text())
    assert all(f"15_probe warning: {f['text']}" in first for f in probed["findings"])


def test_a_second_run_does_nothing_and_says_so(first, words):
    again = run("sample", *words)
    assert "done in" not in again
    assert "nothing to run" in again
    assert "epochs=" not in again
    assert again.count(" is up to date\n") == 9 + 6  # the stages; 50_train has six fits
    assert last_line(again) | {"seconds": 0} == last_line(first) | {"seconds": 0}
    board = Path(words[-1].split("=")[1]) / "LEADERBOARD.md"
    assert board.read_text().count("sample/research-") == 1


def test_a_setting_redoes_only_what_depends_on_it(first, words):
    changed = run("sample", *words, "din.fit.learning_rate=2e-3", "--to", "60_blend")
    lines = [line for line in changed.splitlines() if line.startswith("50_train")]
    redone = [line for line in lines if "epochs=" in line]
    assert len(redone) == 2
    assert all("/din-seed0-fold" in line for line in redone)
    assert sum("is up to date" in line for line in lines) == 4
    assert "60_blend" in changed.splitlines()[-1]


def test_one_seed_gives_equal_bytes_and_no_stage_before_the_report_opens_hidden_labels(
    first, words, tmp_path
):
    elsewhere = [*TINY, f"artifacts={tmp_path}", f"submissions={tmp_path}/s"]
    run("pipeline.00_data", "sample", *elsewhere, shell=False)
    (hidden,) = tmp_path.glob("sample/00_data/*/hidden_labels.parquet")
    s, opens = load_config.load("sample", words), {}
    with watched(hidden) as opened:
        for stage in graph.stages(s)[1:]:
            run(f"pipeline.{stage}", "sample", *elsewhere, shell=False)
            opens[stage] = opened()
    assert [stage for stage, yes in opens.items() if yes] == ["80_report"]
    for fit in graph.fits(s).values():
        (other,) = (tmp_path / "sample" / "50_train").glob(fit.path.name)
        for file in ("held.parquet", "test.parquet", "model.pt"):
            assert (other / file).read_bytes() == (fit.path / file).read_bytes()
    submission = graph.submission(s).path
    (other,) = (tmp_path / "s" / "sample").iterdir()
    assert other.name == submission.name
    assert (other / "prediction.csv").read_bytes() == (submission / "prediction.csv").read_bytes()


def test_data_do_not_depend_on_the_number_of_threads(tmp_path):
    digests = set()
    for n in "12":
        words = [*TINY, f"artifacts={tmp_path}/{n}"]
        run("pipeline.00_data", "sample", *words, shell=False, OPENBLAS_NUM_THREADS=n)
        digests.add(graph.digest(graph.data(load_config.load("sample", words))))
    assert len(digests) == 1


def test_a_dry_run_lists_and_runs_nothing(first, words):
    said = run("sample", *words, "--dry-run", "folds.seed=1")
    assert "10_prepare up to date" in said
    assert "20_folds to build" in said
    assert "80_report to build" in said
    said = run(
        "sample", *words, "--dry-run", "--from", "20_folds", "--to", "30_features", "--force"
    )
    assert said.splitlines() == ["20_folds to build again", "30_features to build again"]


def test_strict_rules_ship_one_network_of_the_official_split(first, words):
    assert "folds.n=2: not read, the official split" in run(
        "sample", *words, "rules=strict", code=2
    )
    words = [word for word in words if not word.startswith("folds.")]
    said = last_line(run("sample", *words, "rules=strict"))
    assert said["cv"] is None
    manifest = json.loads((Path(said["submission"]).parent / "manifest.json").read_text())
    assert (manifest["rules"], manifest["blend"]) == ("strict", "best_single")
    assert len(manifest["runs"]) == 1
    refused = run("sample", *words, "rules=strict", "blend.method=rank_mean", code=2)
    assert "rules=strict refuses blend.method=rank_mean" in refused


def test_a_test_set_in_any_order_is_submitted_in_that_order(first, words, tmp_path):
    s = load_config.load("sample", words)
    folder = shutil.copytree(graph.data(s).path / "challenge", tmp_path / "shuffled")
    test = pl.read_parquet(folder / "test.parquet").sample(fraction=1, shuffle=True, seed=1)
    test.write_parquet(folder / "test.parquet")
    own = [*TINY[4:], f"artifacts={tmp_path}", f"submissions={tmp_path}", "models=din"]
    said = last_line(run("challenge", f"data.dir={folder}", *own))
    assert check(Path(said["submission"]), test["ID"].to_numpy()).errors == []


def test_a_fit_that_is_done_again_alone_has_the_same_bytes(first, words):
    fits = graph.fits(load_config.load("sample", words))
    place = fits["din", 0, 1]
    before = (place.path / "held.parquet").read_bytes()
    shutil.rmtree(place.path)
    run("pipeline.50_train", "sample", *words, shell=False)
    assert (place.path / "held.parquet").read_bytes() == before


def test_the_folder_that_a_source_wrote_gives_the_same_store_as_challenge(first, words):
    s = load_config.load("sample", words)
    own = [w for w in words if w.startswith(("artifacts", "submissions"))]
    folder = graph.data(s).path / "challenge"
    run("challenge", f"data.dir={folder}", *own, "--to", "10_prepare")
    other = load_config.load("challenge", [f"data.dir={folder}", *own])
    assert graph.digest(graph.store(other)) == graph.digest(graph.store(s))


def test_a_stage_alone_names_the_stage_that_it_misses(words, tmp_path):
    elsewhere = [*TINY, f"artifacts={tmp_path}"]
    said = run("pipeline.20_folds", "sample", *elsewhere, code=2, shell=False)
    assert "it is written by pipeline.00_data" in said
    assert not any(tmp_path.iterdir())


def test_divergence_names_the_fit_and_publishes_nothing(first, words):
    wild = [*words, "models=qin", "qin.fit.learning_rate=1e30"]
    said = run("pipeline.50_train", "sample", *wild, code=2, shell=False)
    assert "qin, seed 0, fold" in said
    assert "lower qin.fit.learning_rate" in said
    s = load_config.load("sample", wild)
    assert not any(place.done for place in graph.fits(s).values())


def test_the_stacker_and_its_features_are_the_same_bytes_again(first, words, tmp_path):
    s = load_config.load("sample", words)
    before = {
        name: (graph.blend(s).path / name).read_bytes()
        for name in ("lightgbm.txt", "features_only.txt", "test.parquet", "blend.json")
    }
    features = {path.name: path.read_bytes() for path in graph.features(s).path.glob("*.parquet")}
    for stage in ("30_features", "60_blend"):
        run(f"pipeline.{stage}", "sample", *words, "--force", shell=False, OMP_NUM_THREADS="2")
    assert before == {name: (graph.blend(s).path / name).read_bytes() for name in before}
    for name, data in features.items():
        assert (graph.features(s).path / name).read_bytes() == data


def test_an_outsiders_submission_is_mixed_in_and_judged_by_nothing(first, words, tmp_path):
    theirs = tmp_path / "theirs.csv"
    s = load_config.load("sample", words)
    shutil.copy(next(graph.submission(s).path.glob("prediction.csv")), theirs)
    mixed = [*words[:-1], f"submissions={tmp_path}", f"blend.external={theirs}"]
    mixed.append("blend.external_weight=0.25")
    said = run("sample", *mixed)
    assert "it has no out-of-fold rows, so only the leaderboard can evaluate it" in said
    assert "theirs.csv, which weighs 0.25 and was judged by nothing" in said
    last = last_line(said)
    assert (last["cv"], last["valid"]) == (None, None)
    assert 0.4 < last["hidden"] < 1
    manifest = json.loads((Path(last["submission"]).parent / "manifest.json").read_text())
    assert manifest["cv"] is None
    assert manifest["external"]["file"] == "theirs.csv"
    assert "nothing" in manifest["external"]["evaluated_by"]
    theirs.write_text(theirs.read_text().replace("0.", "1.", 3))
    assert "values in [0, 1]" in run("pipeline.60_blend", "sample", *mixed, code=2, shell=False)
    theirs.unlink()
    assert "no such file" in run("pipeline.60_blend", "sample", *mixed, code=2, shell=False)


def test_the_page_is_made_from_scores_and_opens_no_hidden_labels(first, words):
    s = load_config.load("sample", words)
    hidden, folder = graph.hidden_labels(s), leaderboard.report_spec(s).path
    labels, scores = hidden.read_bytes(), read_json(folder / "scores.json")
    try:
        hidden.write_bytes(bytes(len(labels)))  # of the recorded size, so that 00_data stays done
        page = report.build(gather(s, scores))
        with pytest.raises(pl.exceptions.ComputeError):  # who opens them does not get far
            compute_scores.compute(graph.blend(s).path, graph.hidden_labels(s))
    finally:
        hidden.write_bytes(labels)
    assert page == (folder / "report.html").read_text()
    assert f"{last_line(first)['hidden']:.5f}" in page


def test_the_public_score_is_noted_in_the_row_that_is_there(first, words):
    said = ["--public", "0.9798", "--sentence", "what it was"]
    run("pipeline.80_report", "sample", *words, *said, shell=False)
    board = Path(words[-1].split("=")[1]) / "LEADERBOARD.md"
    rows = [line for line in board.read_text().splitlines() if "sample/research-" in line]
    assert len(rows) == 1
    assert rows[0].endswith("| 0.97980 | what it was |")
    report = leaderboard.report_spec(load_config.load("sample", words)).path / "report.html"
    assert "0.97980" in report.read_text()


def test_a_study_of_this_run_enters_the_report_and_one_of_other_rows_does_not(first, words):
    s = load_config.load("sample", words)
    trial = {"number": 0, "state": "COMPLETE", "value": 0.9, "params": {}, "seconds": 1.0}
    known = {"store": graph.digest(graph.store(s)), "folds": graph.digest(graph.folds(s))}
    folder = Path(s.artifacts) / "sample" / "40_tune"
    try:
        for name, inputs in (("mine", known), ("other", known | {"folds": "of other rows"})):
            place = spec.ArtifactSpec("40_tune", name, folder, {}, inputs)
            with store.write_artifact(place) as out:
                study = {"study": f"study {name}", "users": 1, "trials": [trial], "importances": {}}
                (out / "tune.json").write_text(json.dumps(study))
        older = shutil.copytree(place.path, folder / "older")  # as an older version left it
        (older / "artifact.json").rename(older / "artefact.json")
        run("pipeline.80_report", "sample", *words, shell=False)
        report = (leaderboard.report_spec(s).path / "report.html").read_text()
    finally:
        shutil.rmtree(folder)
    assert "study mine" in report
    assert "study other" not in report


def test_broken_input_is_refused_in_words_and_publishes_nothing(tmp_path):
    folder = tiny_challenge(tmp_path / "data")
    train = pl.read_parquet(folder / "train.parquet")
    train.with_columns(label=pl.col("label") + 1).write_parquet(folder / "train.parquet")
    said = run("challenge", f"data.dir={folder}", f"artifacts={tmp_path}/artifacts", code=2)
    assert "train.parquet" in said
    assert "label" in said
    assert not [p for p in tmp_path.glob("artifacts/**/*") if p.is_file()]
    assert "data.dir=FOLDER" in run("challenge", f"data.dir={tmp_path}", code=2)


def test_results_of_an_older_version_are_named_before_the_first_run_alone(tmp_path):
    (tmp_path / "artefacts").mkdir()
    command = ["sample", "--dry-run", f"artifacts={tmp_path}/artifacts"]
    note = f"{tmp_path}/artefacts has results of an older version, which are not read"
    assert note in run(*command)
    (tmp_path / "artifacts").mkdir()
    assert note not in run(*command)


def test_help_and_bad_words_end_as_they_should():
    assert "--dry-run" in run("--help")
    assert "did you mean 'sample'?" in run("smaple", code=2)
    assert "comes after" in run("sample", "--from", "60_blend", "--to", "20_folds", code=2)
