"""Fits that were stopped, and how they resume."""

import pickle
import signal
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import torch

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import ArtifactSpec, record
from pipeline.artifacts.store import write_artifact
from pipeline.config.load import load
from pipeline.runtime import cli
from pipeline.training import checkpointing, context, fits
from pipeline.training.checkpointing import FitCheckpointer
from tests.helpers.tiny_runs import ROOT
from tests.models.training.test_fit import same
from tests.pipeline.training.fit_runs import FILES, KEY, LAST_EPOCH

stage = import_module("pipeline.50_train")


def spec_of(overrides: list[str]) -> ArtifactSpec:
    return graph.fits(load("sample", overrides))[KEY]


def stop_after(overrides: list[str], epoch: int, monkeypatch) -> ArtifactSpec:
    """Interrupt the first fit in the epoch after `epoch`; its spec."""

    def interrupt(key, current, record):
        if current > epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fits, "_print_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.work(load("sample", overrides), False)
    spec = spec_of(overrides)
    assert spec.state.exists()
    assert not spec.done
    return spec


def assert_same_fit(spec: ArtifactSpec, whole: ArtifactSpec) -> None:
    """Equal settings give equal bytes, and nothing is left beside the artifact."""
    for name in FILES:
        assert (spec.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    reports = [record(fit.path)["report"] for fit in (spec, whole)]
    for key in ("best_epoch", "auc", "epochs"):
        assert same(reports[0][key], reports[1][key]), key
    assert [path.name for path in spec.folder.glob(".*")] == []


KILLED = """
import importlib, os, signal, sys
from pipeline.config.load import load
from pipeline.training import fits
fits._print_epoch = lambda key, epoch, _: epoch == 4 and os.kill(os.getpid(), signal.SIGKILL)
importlib.import_module("pipeline.50_train").work(load("sample", sys.argv[1:]), False)
"""


def test_a_killed_fit_resumes_and_ends_as_one_that_was_not_killed(own, whole, capsys):
    done = subprocess.run([sys.executable, "-c", KILLED, *own], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    stage.work(load("sample", own), False)
    output = capsys.readouterr().out
    assert "50_train qin seed 0 fold 0 resumes after epoch 3\n" in output
    assert output.count("resumes after") == 1
    assert_same_fit(spec_of(own), whole)


def test_a_fit_that_was_stopped_between_its_last_epoch_and_its_artifact_is_not_trained_again(
    own, whole, capsys, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fits, "_write_logits", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.work(load("sample", own), False)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    output = capsys.readouterr().out
    assert f"resumes after epoch {LAST_EPOCH}\n" in output
    assert "fold 0 epoch" not in output
    assert_same_fit(spec_of(own), whole)


def flip(path: Path) -> None:
    """Change a bit in the middle of the largest tensor; torch would load the file."""
    with zipfile.ZipFile(path) as file:
        tensors = [member for member in file.infolist() if "/data/" in member.filename]
        largest = max(tensors, key=lambda member: member.file_size)
    data = bytearray(path.read_bytes())
    data[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(data)
    torch.load(path, weights_only=True)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"state": print})),
    "weights": lambda path: torch.save({"weight": torch.ones(2)}, path),
    "lists": lambda path: torch.save({"made_by": [], "state": []}, path),
    "code": lambda path: torch.save({"made_by": print, "state": {}}, path),
    "no epochs": lambda path: torch.save(torch.load(path) | {"state": {}}, path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_fit_with_a_damaged_checkpoint_starts_from_the_beginning(
    own, whole, damage, capsys, monkeypatch
):
    spec = stop_after(own, 2, monkeypatch)
    DAMAGES[damage](spec.state)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    output = capsys.readouterr().out
    line = f"50_train qin seed 0 fold 0 starts from the beginning: {spec.state} is damaged\n"
    assert line in output
    assert "resumes" not in output
    assert_same_fit(spec, whole)


def test_a_fit_with_a_checkpoint_of_other_code_or_rounding_starts_from_the_beginning(
    own, whole, capsys, monkeypatch
):
    spec = stop_after(own, 2, monkeypatch)
    checkpoint = torch.load(spec.state, weights_only=True)
    assert checkpoint["made_by"]["code"] == provenance.code()
    checkpoint["made_by"] |= {"code": "abc", "threads": 7}
    torch.save(checkpoint, spec.state)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    reason = "was written with other code, threads\n"
    assert f"starts from the beginning: {spec.state} {reason}" in capsys.readouterr().out
    assert_same_fit(spec, whole)


def test_a_checkpoint_of_another_network_is_refused_by_name(own, monkeypatch, capsys):
    spec = stop_after(own, 2, monkeypatch)
    checkpoint = torch.load(spec.state, weights_only=True)
    del checkpoint["state"]["network"]["likes.weight"]
    torch.save(checkpoint, spec.state)
    assert cli.exit_code(lambda: stage.work(load("sample", own), False)) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert str(spec.state) in message
    assert "is not a checkpoint of this fit (RuntimeError: Error" in message
    assert message.endswith("; delete it, or add --force")
    assert not spec.path.exists()
    stage.work(load("sample", own), True)
    assert spec.done
    assert not spec.state.exists()


def test_other_settings_do_not_find_the_checkpoint_and_force_ignores_it(
    own, whole, capsys, monkeypatch
):
    stop_after(own, 2, monkeypatch)
    capsys.readouterr()
    stage.work(load("sample", [*own, "qin.fit.learning_rate=2e-3"]), False)
    assert "resumes" not in capsys.readouterr().out
    stage.work(load("sample", own), True)
    assert "resumes" not in capsys.readouterr().out
    assert_same_fit(spec_of(own), whole)


def test_a_fit_that_diverges_leaves_no_checkpoint_to_diverge_from_again(own, monkeypatch):
    spec = stop_after(own, 2, monkeypatch)

    def diverge(*_, **__):
        raise FloatingPointError("epoch 3: training loss nan")

    monkeypatch.setattr(context, "fit", diverge)
    with pytest.raises(InputError, match=r"epoch 3: training loss nan; lower qin\.fit\.learning"):
        stage.work(load("sample", own), False)
    assert not spec.state.exists()


def test_a_checkpoint_that_outlived_its_fit_is_removed(tmp_path):
    finished, started = (
        ArtifactSpec("50_train", name, tmp_path, {"n": 1}) for name in ("a", "b")
    )  # fmt: skip
    for spec in (finished, started):
        spec.state.touch()
    finished.path.mkdir()
    with write_artifact(ArtifactSpec("50_train", "c", tmp_path)):
        pass
    assert not finished.state.exists()
    assert started.state.exists()


def test_a_checkpoint_is_written_when_save_every_has_passed(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    with write_artifact(ArtifactSpec("50_train", "a", tmp_path)) as out:
        checkpointer = FitCheckpointer(out, "a fit", 60.0, torch.device("cpu"))
        written = []
        for now[0] in (30.0, 59.0, 61.0, 90.0, 120.5, 121.5):
            checkpointer.save(lambda: written.append(now[0]) or {"report": {"epochs": []}})
    assert written == [61.0, 121.5]


FULL_DISK = """
import importlib, resource, sys
from pipeline.config.load import load
from pipeline.runtime import cli
from pipeline.training import fits
def fill_disk(key, epoch, record):
    if epoch == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))
fits._print_epoch = fill_disk
work = importlib.import_module("pipeline.50_train").work
sys.exit(cli.exit_code(lambda: work(load("sample", sys.argv[1:]), False)))
"""


def test_a_full_disk_is_named_and_the_fit_resumes_when_there_is_space(own, whole, capsys):
    command = [sys.executable, "-c", FULL_DISK, *own]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    spec = spec_of(own)
    assert done.returncode == 2
    (message,) = done.stderr.splitlines()
    assert message.startswith(
        f"error: {spec.folder} cannot be written: the disk is full or a limit"
    )
    assert [path.name for path in spec.folder.iterdir()] == [spec.state.name]
    stage.work(load("sample", own), False)
    assert "resumes after epoch 2\n" in capsys.readouterr().out
    assert_same_fit(spec, whole)
