"""90_score with networks that read columns: a run scores any rows, a fit alone none."""

import gc
import weakref

import pytest

from features import table
from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.load import load
from pipeline.inference import score_rows, score_run
from tests.helpers.scoring import of_run, run
from tests.helpers.tiny_runs import run_stages

STAGES = ("20_folds", "30_features", "50_train", "60_blend", "70_submit")
OWN = ["models=din", "din.columns=true", "network.fit.max_epochs=1", "blend.method=best_single"]


@pytest.fixture(scope="module")
def settings(first_run, overrides):
    run_stages([*overrides, *OWN], *STAGES)
    return load("sample", [*overrides, *OWN])


@pytest.fixture(scope="module")
def test_rows(settings):
    return graph.challenge_files(settings)["test"]


def equal_bytes(settings, test_rows, out) -> bool:
    submission = graph.submission(settings).path
    score_rows.write(score_run.run(of_run(submission, test_rows)), out)
    return out.read_bytes() == (submission / "prediction.csv").read_bytes()


def test_a_run_scores_the_test_rows_as_it_submitted_them(settings, test_rows, tmp_path):
    assert equal_bytes(settings, test_rows, tmp_path / "scores.csv")


def test_tables_that_no_stacker_reads_are_gone_before_networks_run(
    settings, test_rows, monkeypatch
):
    made, by_fold, logits = [], table.by_fold, score_run.logits

    def seen(*arguments):
        for rows in by_fold(*arguments):
            made.append(weakref.ref(rows))
            yield rows

    def alone(*arguments):
        gc.collect()
        assert all(rows() is None for rows in made)
        return logits(*arguments)

    monkeypatch.setattr(table, "by_fold", seen)
    monkeypatch.setattr(score_run, "logits", alone)
    score_run.run(of_run(graph.submission(settings).path, test_rows))
    assert len(made) == 2


def test_so_does_a_run_whose_rows_stay_on_disk(settings, overrides, test_rows, tmp_path):
    own = [*overrides, *OWN, "train.rows=stream"]
    run_stages(own, *STAGES[2:])
    streamed = load("sample", own)
    assert graph.submission(streamed).path != graph.submission(settings).path
    assert equal_bytes(streamed, test_rows, tmp_path / "scores.csv")


def test_so_does_a_run_in_official_mode(settings, overrides, test_rows, tmp_path):
    official = [word for word in overrides if not word.startswith("folds.")]
    official += [*OWN, "folds.mode=official"]
    run_stages(official, *STAGES)
    assert equal_bytes(load("sample", official), test_rows, tmp_path / "scores.csv")


def test_a_run_with_other_columns_than_this_code_is_refused(settings, test_rows, monkeypatch):
    monkeypatch.setattr(table, "names", lambda: ["h_other"])
    with pytest.raises(InputError, match=r"was trained on other columns .* \(.*h_other.*\): run"):
        score_run.run(of_run(graph.submission(settings).path, test_rows))


def test_a_fit_alone_scores_nothing_and_says_what_does(capsys, settings, test_rows, tmp_path):
    fit, store = require(graph.fits(settings)["din", 0, 0]), require(graph.store(settings))
    alone = ["--checkpoint", fit, "--format", "ours", "--items", store]
    out = tmp_path / "scores.csv"
    for task in (["--rows", test_rows, "--out", out], ["--export", tmp_path / "e"], ["--latency"]):
        code, _, error = run(capsys, *alone, *task)
        assert code == 2
        assert "reads the columns of 30_features (columns = true)" in error
        assert "python -m pipeline.90_score --run NAME" in error
    assert list(tmp_path.iterdir()) == []
