"""50_train under torchrun."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.config.load import load
from pipeline.runtime import cli
from pipeline.training import torchrun as torchrun_session
from tests.helpers.tiny_runs import ROOT, TINY, run_stages

NO_DROPOUT = ["qin.qnn.dropout=0", "final.final.dropout=0", "final.din.dropout=0"]
PLAIN = [*TINY, "models=qin,final", "qin.fit.batch_size=100", *NO_DROPOUT]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with rows, folds, and the fits of one process."""
    folder = tmp_path_factory.mktemp("torchrun")
    overrides = [*PLAIN, f"artifacts={folder}", "train.backend=serial"]
    run_stages(overrides, "00_data", "10_prepare", "20_folds", "50_train")
    return folder


@pytest.fixture
def overrides(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*PLAIN, f"artifacts={tmp_path}/a"]


def torchrun(*overrides: str, module: str = "pipeline.50_train") -> subprocess.Popen:
    """`module` in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node", "2", "-m", module, "sample", *overrides]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes)


def lines(output: str, start: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(start)]


def test_the_fits_of_two_processes_are_those_of_one(overrides, prepared):
    """float32: 24 steps of Adam keep logits of size 1 within a thousandth."""
    logged = [*overrides, "train.log=tensorboard"]
    output, errors = (process := torchrun(*logged)).communicate()
    assert process.returncode == 0, errors
    fits = graph.fits(load("sample", overrides))
    events = list(Path(load("sample", overrides).artifacts).rglob("events.out.tfevents.*"))
    assert sorted(path.parent.name for path in events) == sorted(f.path.name for f in fits.values())
    assert output.count(" epochs=") == len(fits) == 4
    fits_of_one = graph.fits(load("sample", [*PLAIN, f"artifacts={prepared}"]))
    for key, spec in fits.items():
        for file in ("held", "valid", "test"):
            paths = (fit.path / f"{file}.parquet" for fit in (spec, fits_of_one[key]))
            a, b = map(pl.read_parquet, paths)
            assert a.drop("logit").equals(b.drop("logit"))
            np.testing.assert_allclose(a["logit"], b["logit"], rtol=0, atol=1e-3)


def test_an_error_in_one_process_ends_all_in_seconds_and_is_printed_once():
    started = time.perf_counter()
    _, errors = (process := torchrun(module="tests.helpers.one_fails")).communicate()
    assert time.perf_counter() - started < 30
    assert lines(errors, "error: ") == ["error: bad input that one process saw"]
    assert "models/training/distributed.py" not in errors  # no traceback of ours
    assert "exitcode  : 2" in errors  # torchrun's report; its own exit code is 1
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("qin.fit.loss=bce_bpr", "qin.fit.loss=bce_bpr compares the rows of a batch"),
        ("qin.fit.loss=listwise", "qin.fit.loss=listwise compares the rows of a batch"),
        ("qin.fit.loss=contrastive", "train it without torchrun"),
        ("train.rows=stream", "train.rows=stream reads rows in one process"),
        ("train.device=cuda:1", "train.device=cuda:1 is one GPU: write cuda"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(override, message):
    with pytest.raises(InputError, match=message):
        torchrun_session.refuse(load("sample", ["models=qin", override]))


def test_one_killed_process_ends_all_in_seconds_with_one_line(overrides):
    endless = [override for override in overrides if "max_epochs" not in override]
    endless += ["network.fit.max_epochs=9999", "network.fit.patience=9999"]
    with torchrun(*endless) as process:
        next(line for line in process.stdout if " epoch 3 " in line)
        children = (
            Path(f"/proc/{process.pid}/task/{process.pid}/children")
            .read_text(encoding="utf-8")
            .split()
        )
        started = time.perf_counter()
        os.kill(int(children[1]), signal.SIGKILL)
        _, errors = process.communicate()
        assert time.perf_counter() - started < 20
    assert process.returncode != 0
    assert len(lines(errors, "error: ") + lines(errors, "interrupted: ")) == 1
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


@pytest.mark.long
def test_twenty_of_twenty_shut_down_cleanly(overrides):
    s = load("sample", overrides)
    of_qin = [override for override in overrides if not override.startswith("final.")]
    for _ in range(20):
        _, errors = (process := torchrun(*of_qin, "models=qin")).communicate(timeout=300)
        assert process.returncode == 0, errors
        specs = [spec for key, spec in graph.fits(s).items() if key[0] == "qin"]
        assert all(spec.done for spec in specs)
        for spec in specs:
            shutil.rmtree(spec.path)


def test_what_torchrun_did_not_set_is_named(monkeypatch, capsys):
    def enter_session() -> None:
        with torchrun_session.distributed_session():
            pytest.fail("must not run")

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert cli.exit_code(enter_session, distributed=True) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: TORCHELASTIC_RUN_ID is set, but not RANK, ")
    assert ", WORLD_SIZE" not in error


def test_torchrun_is_for_training_alone(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cli.exit_code(lambda: pytest.fail("must not run")) == 2
    assert "torchrun is for pipeline.50_train alone" in capsys.readouterr().err
