"""50_train in a process of its own, and tasks that count how often they start."""

import contextlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from pipeline import graph
from pipeline.config.load import load
from pipeline.config.settings import TrainSettings
from pipeline.training.executors.dispatch import run_tasks
from tests.helpers.tasks import note
from tests.helpers.tiny_runs import ROOT, TINY

LONGER = [*TINY, "network.fit.max_epochs=6", "network.fit.patience=6"]
FILES = ("model.pt", "held.parquet", "valid.parquet", "test.parquet")
TWO_CORES = ["", ""]  # slots


def fits(overrides: list[str]) -> dict:
    return graph.fits(load("sample", overrides))


def assert_same_bytes(overrides: list[str], prepared: Path) -> None:
    serial = fits([*LONGER, f"artifacts={prepared}"])
    for key, fit in fits(overrides).items():
        for file in FILES:
            assert (fit.path / file).read_bytes() == (serial[key].path / file).read_bytes()


@contextlib.contextmanager
def training(*overrides: str):
    """50_train in a process of its own, its output as it comes."""
    command = [sys.executable, "-m", "pipeline.50_train", "sample", *overrides]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def first_fit(process: subprocess.Popen) -> tuple[str, Path]:
    """The output of `process` up to its first finished fit, and the folder of that fit."""
    output = ""
    for line in process.stdout:
        output += line
        if match := re.search(r"50_train (\S+) epochs=", line):
            return output, Path(match[1])
    raise AssertionError(output)


def trained_twice(output: str) -> list[str]:
    times = Counter(re.findall(r"50_train (\S+) epochs=", output))
    return [name for name, n in times.items() if n > 1]


def noted(folder: Path, train_cfg: TrainSettings, **killed) -> list[tuple[str, str]]:
    """The results of six tasks, each of which notes its start in `folder`."""
    folder = folder.resolve()
    tasks = {name: (folder, name, *killed.values()) for name in "abcdef"}
    return list(run_tasks(note, tasks, train_cfg, TWO_CORES, folder))


def n_starts(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
