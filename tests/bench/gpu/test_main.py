"""The command line of bench.gpu: refused arguments, the dry run, and a run that is stopped."""

import json
import signal
import subprocess

import numpy as np
import psutil
import pytest
import torch

from bench.gpu.__main__ import main
from bench.gpu.parts import PARTS
from tests.helpers.tiny_runs import ROOT
from tests.helpers.toy_gpu import command
from tests.helpers.worlds import tiny_store


def refusal(capsys, *arguments: object) -> str:
    """The one line on stderr with which the run refuses `arguments`."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line, end = captured.err[:-1], captured.err[-1]
    assert end == "\n"
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "epochs,epoch"], "no 'epoch'; there are networks, fields, "),
        (["--parts", "epochs=long"], "epochs=long, expected a whole number of seconds"),
        (["--minutes", "0"], "--minutes: got 0, expected more than 0"),
        (["--minutes", "-1"], "--minutes: got -1, expected more than 0"),
        (["--minutes", "nan"], "--minutes: got nan, expected more than 0"),
        (["--store", "x"], "--store and --folds belong together"),
        (["--folds", "x"], "--store and --folds belong together"),
        (["--store", "x", "--folds", "x"], "x holds no store"),
        (["--wheels", "x"], "x has no wheels; make it: python -m bench.gpu.wheels x"),
        (["--out", "/dev/null/x"], "Not a directory: '/dev/null/x'"),
    ],
)
def test_what_is_wrong_with_an_argument_stands_on_one_line(capsys, arguments, message):
    assert message in refusal(capsys, "--toy", *arguments)


def test_a_cpu_measures_toy_sizes_alone(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "--toy runs every part at toy sizes" in refusal(capsys)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b"text"), "fold.npy"),
        (lambda path: np.save(path, np.zeros(7, np.int8)), "fold.npy has 7 rows, expected the 240"),
    ],
    ids=["missing", "damaged", "of another store"],
)
def test_folds_that_do_not_fit_the_store_are_refused(capsys, tmp_path, write, message):
    tiny_store(tmp_path)
    write(tmp_path / "fold.npy")
    found = refusal(capsys, "--store", tmp_path / "store", "--folds", tmp_path, "--dry-run")
    assert message in found
    assert "give" in found


def test_results_are_not_written_into_the_store(capsys, tmp_path):
    tiny_store(tmp_path)
    np.save(tmp_path / "fold.npy", np.zeros(240, np.int8))
    store = tmp_path / "store"
    found = refusal(capsys, "--store", store, "--folds", tmp_path, "--dry-run", "--out", store)
    assert "or a part of it, which is read" in found


def test_a_dry_run_lists_parts_and_sizes(capsys, tmp_path):
    assert main(["--dry-run", "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(PARTS)]] == [part.name for part in PARTS]
    assert all("MiB" in line for line in lines[len(PARTS) :])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 130),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_stopped_keeps_its_rows_and_leaves_no_process(tmp_path, number, code):
    parts = command(tmp_path / "out", "networks", "scores")
    running = subprocess.Popen(
        parts, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (line := running.stdout.readline()).startswith("networks: network"):
        assert line, running.stderr.read()
    started = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in errors
    assert ("interrupted: the rows found so far are kept\n" in errors) == (code == 130)
    assert not psutil.wait_procs(started, timeout=60)[1]
    (part,) = json.loads((tmp_path / "out/gpu.json").read_text())["parts"]
    assert (part["state"], part["reason"]) == ("cut off", "the run was stopped")
    assert part["rows"][0]["network"] == "qin"
    assert "| qin |" in (tmp_path / "out/gpu.md").read_text()
