"""What the report and the leaderboard hold of a run."""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
from matplotlib import pyplot

from features.errors import InputError
from pipeline import graph, source_files
from pipeline.artifacts import spec, store
from pipeline.artifacts.json_files import read_json
from pipeline.config import load as load_config
from pipeline.reporting import compute_scores, leaderboard, report
from pipeline.reporting.run import gather
from tests.helpers.notebook import code_cells, execute
from tests.helpers.tiny_runs import ROOT, last_line, run, run_stages

NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"
runner = import_module("pipeline.__main__")


def test_an_external_file_is_mixed_in_and_not_validated(first_run, overrides, tmp_path, capsys):
    theirs = tmp_path / "theirs.csv"
    s = load_config.load("sample", overrides)
    shutil.copy(next(graph.submission(s).path.glob("prediction.csv")), theirs)
    mixed = [*overrides[:-1], f"submissions={tmp_path}", f"blend.external={theirs}"]
    mixed.append("blend.external_weight=0.25")
    run_stages(mixed, "60_blend", "70_submit", "80_report")
    output = capsys.readouterr().out
    assert "it has no out-of-fold rows, so only the leaderboard can evaluate it" in output
    assert "theirs.csv at weight 0.25, which nothing has validated" in output
    last = json.loads(runner.summary(load_config.load("sample", mixed), 0))
    assert (last["cv"], last["valid"]) == (None, None)
    assert 0.4 < last["hidden"] < 1
    manifest = json.loads((Path(last["submission"]).parent / "manifest.json").read_text())
    assert manifest["cv"] is None
    assert manifest["external"]["file"] == "theirs.csv"
    assert "nothing" in manifest["external"]["evaluated_by"]
    theirs.write_text(theirs.read_text().replace("0.", "1.", 3))
    for late in (runner.refuse_external, lambda _: run_stages(mixed, "60_blend")):
        with pytest.raises(InputError, match=r"values in \[0, 1\]"):
            late(load_config.load("sample", mixed))
    theirs.unlink()
    with pytest.raises(InputError, match="no such file"):
        run_stages(mixed, "60_blend")


def test_the_page_is_made_from_scores_and_opens_no_hidden_labels(first_run, overrides):
    s = load_config.load("sample", overrides)
    run("pipeline.80_report", "sample", *overrides, "--force", shell=False)
    hidden, folder = source_files.hidden_labels(s), leaderboard.report_spec(s).path
    labels, scores = hidden.read_bytes(), read_json(folder / "scores.json")
    try:
        hidden.write_bytes(bytes(len(labels)))  # of the recorded size, so that 00_data stays done
        page = report.build(gather(s, scores))
        with pytest.raises(pl.exceptions.ComputeError):  # who opens them does not get far
            compute_scores.compute(graph.blend(s).path, source_files.hidden_labels(s))
    finally:
        hidden.write_bytes(labels)
    assert page == (folder / "report.html").read_text()
    assert f"{last_line(first_run)['hidden']:.5f}" in page


def test_the_public_score_is_noted_in_the_row_that_is_there(first_run, overrides):
    options = ["--public", "0.9798", "--sentence", "what it was"]
    run("pipeline.80_report", "sample", *overrides, *options, shell=False)
    board = Path(overrides[-1].split("=")[1]) / "LEADERBOARD.md"
    rows = [line for line in board.read_text().splitlines() if "sample/research-" in line]
    assert len(rows) == 1
    assert "| 0.97980 | what it was | ./run_all.sh sample data.users=" in rows[0]
    report = leaderboard.report_spec(load_config.load("sample", overrides)).path / "report.html"
    assert "0.97980" in report.read_text()


def test_a_study_of_this_run_enters_the_report_and_one_of_other_rows_does_not(first_run, overrides):
    s = load_config.load("sample", overrides)
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
        run("pipeline.80_report", "sample", *overrides, shell=False)
        report = (leaderboard.report_spec(s).path / "report.html").read_text()
    finally:
        shutil.rmtree(folder)
    assert "study mine" in report
    assert "study other" not in report


def test_the_notebook_explores_a_finished_run(first_run, overrides, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(NOTEBOOK.parent)  # as Jupyter does
    monkeypatch.setattr(sys, "path", [*sys.path])
    typed = f'PROFILE, OVERRIDES = "sample", {overrides}'
    with pl.Config():
        shown = execute(NOTEBOOK, {'PROFILE, OVERRIDES = "sample", []': typed})
    pyplot.close("all")
    _, rows, _, histories, popularity, fits, _, scores, segments, worst = shown
    s = load_config.load("sample", overrides)
    assert rows["n"].to_list() == [1200, 240, 320]
    assert histories["histories"] > 400
    assert popularity["rows"].sum() == 1200
    assert len(fits) == len(graph.fits(s))
    assert dict(zip(scores["name"], scores["valid"], strict=True))["qin"] < 1
    assert segments["rows"].sum() == 2 * 240  # by history length, by popularity
    assert len(worst) == 10


def test_the_notebook_is_small_and_holds_no_output():
    cells = code_cells(NOTEBOOK)
    assert len(cells) == 10
    assert [cell["outputs"] for cell in cells] == [[]] * 10
    assert {cell["execution_count"] for cell in cells} == {None}
    assert NOTEBOOK.stat().st_size < 20_000
