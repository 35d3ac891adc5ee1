"""The processes of a stage that is killed."""

import subprocess
import sys
import time

import psutil

from tests.helpers.tiny_runs import ROOT


def test_workers_end_with_a_killed_stage(own):
    overrides = [*own, "network.fit.max_epochs=100000", "network.fit.patience=100000"]
    command = [sys.executable, "-m", "pipeline.50_train", "sample", *overrides, "train.workers=2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    folds = set()
    for line in process.stdout:
        if " epoch " in line:
            folds.add(line.split()[5])
        if len(folds) == 2:  # both workers are training
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30  # joblib's resource tracker clears up after the others
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [child for child in children if is_alive(child)] == []


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
