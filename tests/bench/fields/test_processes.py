"""Fits in processes of their own: killed ones, and two commands on one folder."""

import os
import signal
import subprocess
import sys

import numpy as np
import psutil

from bench.fields import fits
from bench.fields.data.schema import find
from bench.fields.data.writing import stored
from bench.fields.settings import network_settings, read_data_set
from pipeline.artifacts.locks import try_locked
from pipeline.config.paths import REPOSITORY

SCHEMA = """
data = { label = "label", categorical = ["user", "item"] }
shared.fit = { batch_size = 16, max_epochs = 100_000, patience = 100_000 }
"""


def written(folder):
    """A schema beside a folder with files of it."""
    (folder / "data").mkdir()
    for split in ("train", "valid", "test"):
        rows = "".join(f"{i % 2},{i % 5},{i % 7}\n" for i in range(60))
        (folder / "data" / f"{split}.csv").write_text(f"label,user,item\n{rows}")
    (folder / "own.toml").write_text(SCHEMA)
    return folder / "own.toml"


def test_a_killed_fit_starts_again_and_none_outlives_the_command(tmp_path):
    schema = written(tmp_path)
    command = [
        sys.executable,
        "-m",
        "bench.fields",
        "--schema",
        schema,
        "--data",
        tmp_path / "data",
    ]
    options = ["--models", "lr, fm", "--seeds", "1", "--workers", "2", "--out", tmp_path / "out"]
    with subprocess.Popen(
        [*map(str, [*command, *options])], cwd=REPOSITORY,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            until(process, " epoch 2: ")
            workers(process)[0].send_signal(signal.SIGKILL)
            until(process, "a process was killed (for memory?): 2 of 2 fits are unfinished")
            until(process, " epoch 2: ")
            children = workers(process)
        finally:
            process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    for worker in alive:
        worker.kill()
    assert alive == []


def until(process, text):
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return
    raise AssertionError(output)


def workers(process):
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "popen_loky" in " ".join(child.cmdline())]


def test_a_fit_is_locked_while_it_trains_and_never_trained_twice(tmp_path, monkeypatch):
    of = read_data_set(written(tmp_path))
    cfg = network_settings("lr", of, 2)
    data = stored(find(tmp_path / "data"), of.data, tmp_path / "out")
    spec = fits.fit_spec(cfg, 1, data, tmp_path / "out")
    ours, log_loss = [], fits.log_loss

    def tried(label, logits):
        with try_locked(spec.lock) as (free, _):
            ours.append(free)
        return log_loss(label, logits)

    monkeypatch.setattr(fits, "log_loss", tried)
    fits.run(cfg, 1, data, spec, "lr", "", os.getpid())
    assert {*ours} == {False}
    before = spec.path.stat().st_ino
    ours.clear()
    fits.run(cfg, 1, data, spec, "lr", "", os.getpid())
    assert ours == []
    assert spec.path.stat().st_ino == before
    assert np.load(spec.path / fits.LOGITS).shape == (60,)
