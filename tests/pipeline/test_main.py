"""`python -m pipeline` in this process: what it chooses, prints and refuses."""

import os
import signal
import subprocess
from importlib import import_module

import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.config.load import load
from tests.helpers.tiny_runs import TINY

runner = import_module("pipeline.__main__")


@pytest.fixture
def overrides(tmp_path):
    return [*TINY, "models=din", f"artifacts={tmp_path}/artifacts", f"submissions={tmp_path}/out"]


@pytest.fixture
def pipeline(overrides, monkeypatch, capsys):
    """What `python -m pipeline sample` prints with arguments: the exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pipeline", "sample", *overrides, *arguments])
        with pytest.raises(SystemExit) as ended:
            runner.main()
        return ended.value.code, *capsys.readouterr()

    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the handlers stay pytest's
    return call


def test_a_dry_run_lists_every_stage_of_the_run(pipeline, overrides):
    code, printed, _ = pipeline("--dry-run")
    assert code == 0
    assert printed.splitlines() == [
        f"{n} to build" for n in graph.stages(load("sample", overrides))
    ]


def test_stages_that_are_forced_are_built_again_and_those_before_them_are_not(pipeline):
    _, printed, _ = pipeline("--dry-run", "--from", "20_folds", "--to", "30_features", "--force")
    before = ["00_data to build", "10_prepare to build", "15_probe to build"]
    assert printed.splitlines() == [
        *before,
        "20_folds to build again",
        "30_features to build again",
    ]


def test_settings_are_printed_and_nothing_runs(pipeline, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    code, printed, _ = pipeline("--settings", "din.fit")
    assert code == 0
    assert "learning_rate" in printed


def test_a_range_that_ends_before_it_begins_is_refused(pipeline):
    code, _, errors = pipeline("--from", "50_train", "--to", "20_folds")
    assert code == 2
    assert "--from 50_train comes after --to 20_folds" in errors


def test_a_beginning_names_a_stage(pipeline):
    _, printed, _ = pipeline("--dry-run", "--from", "20", "--to", "30_f", "--force")
    assert printed.splitlines()[-2:] == ["20_folds to build again", "30_features to build again"]
    code, _, errors = pipeline("--from", "5")
    assert code == 2
    assert "several begin so: 50_train, 55_mask" in errors
    code, _, errors = pipeline("--to", "train")
    assert code == 2
    assert "'train' is no stage" in errors


def test_a_gpu_that_is_missing_is_refused_before_the_first_stage(pipeline, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    code, printed, errors = pipeline("train.device=cuda:9")
    assert (code, printed) == (2, "")
    assert "train.device = 'cuda:9', but torch sees" in errors
    assert "take train.device=auto" in errors


def test_a_precision_that_the_device_lacks_is_refused_before_the_first_stage(pipeline, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    code, printed, errors = pipeline("din.fit.precision=tf32", "train.device=cpu")
    assert (code, printed) == (2, "")
    assert "din.fit.precision=tf32, but cpu does not multiply TF32" in errors


def test_a_tracker_that_is_missing_is_refused_before_anything_is_said_to_be_done(
    pipeline, monkeypatch
):
    def refuse(s):
        raise InputError("no package mlflow")

    monkeypatch.setattr(runner, "is_done", lambda *_: True)
    monkeypatch.setattr(runner.trackers, "require", refuse)
    code, printed, _ = pipeline()
    assert (code, printed) == (2, "")


def test_a_gpu_that_no_stage_of_the_run_needs_is_not_looked_for(pipeline, monkeypatch):
    monkeypatch.setattr(runner, "run", lambda *_: None)
    assert pipeline("train.device=cuda:9", "--to", "20")[0] == 0


def test_a_study_that_is_missing_is_named(pipeline):
    _, printed, _ = pipeline("train.settings=tuned", "tune.models=din", "--dry-run")
    assert "50_train needs a finished study: python -m pipeline.40_tune sample" in printed


@pytest.mark.parametrize("returned", [0, 2, -signal.SIGKILL])
def test_a_stage_that_fails_ends_the_run_with_its_exit_code(pipeline, monkeypatch, returned):
    started = []

    class Child:
        pid = 0

        def __init__(self, command, env):
            started.append(command[2])

    monkeypatch.setattr(subprocess, "Popen", Child)
    monkeypatch.setattr(runner, "wait", lambda pid: (returned, 7))
    code, printed, errors = pipeline("--to", "10_prepare")
    assert code == (2 if returned else 0)
    assert started == ["pipeline.00_data", "pipeline.10_prepare"][: 1 if returned else 2]
    assert ("00_data was killed; if this machine ran out of memory" in errors) == (returned < 0)
    assert ("10_prepare done in" in printed) == (returned == 0)
    assert "stage 1 of 10 00_data\n" in printed
    assert ("stage 2 of 10 10_prepare\n" in printed) == (returned == 0)


def test_the_exit_code_and_the_memory_of_a_child_are_found():
    child = subprocess.Popen(["bash", "-c", "exit 3"])
    returned, peak_mib = runner.wait(child.pid)
    assert returned == 3
    assert peak_mib > 0


def test_an_interrupt_ends_the_child_too(monkeypatch):
    child, wait4 = subprocess.Popen(["sleep", "60"]), os.wait4

    def interrupted(pid, options):
        monkeypatch.setattr(os, "wait4", wait4)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", interrupted)
    monkeypatch.setattr(runner.time, "sleep", lambda seconds: None)
    with pytest.raises(SystemExit) as ended:
        runner.wait(child.pid)
    assert ended.value.code == 130
    child.returncode = -signal.SIGINT  # it has been waited for
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_results_of_an_older_version_are_named_before_the_first_run_alone(tmp_path, capsys):
    (tmp_path / "artefacts").mkdir()
    runner.note_old_results(tmp_path / "artifacts")
    assert "has results of an older version, which are not read" in capsys.readouterr().out
    (tmp_path / "artifacts").mkdir()
    runner.note_old_results(tmp_path / "artifacts")
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_mixed_in_is_refused_before_training(pipeline, monkeypatch, tmp_path):
    ran, theirs = [], tmp_path / "theirs.csv"
    theirs.write_text("ID,Task2\n", encoding="utf-8")

    def refuse(s):
        raise InputError(f"{s.blend.external} does not fit")

    monkeypatch.setattr(runner, "run", lambda s, stage, force: ran.append(stage))
    monkeypatch.setattr(runner, "refuse_external", refuse)
    code, _, error = pipeline(f"blend.external={theirs}")
    assert (code, error) == (2, f"error: {theirs} does not fit\n")
    assert ran[-1] == "30_features"
