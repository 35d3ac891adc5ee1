"""Fits in processes of this machine, and killed ones among them."""

import os
import re
import signal
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from features.errors import InputError
from pipeline.config.settings import TrainSettings
from pipeline.training.executors import local
from pipeline.training.executors.dispatch import run_tasks
from tests.helpers.tasks import gpu
from tests.pipeline.training.executors.runs import (
    assert_same_bytes,
    first_fit,
    n_starts,
    noted,
    trained_twice,
    training,
)

LOKY = TrainSettings(device="cpu")


@pytest.fixture(autouse=True, scope="module")
def own_workers():
    """joblib keeps its processes for the next caller; these have GPUs' environment variables."""
    yield
    get_reusable_executor().shutdown(wait=True, kill_workers=True)


def loky_workers(pid: int) -> list[int]:
    """Processes of loky that `pid` started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    commands = {
        int(child): Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8") for child in children
    }
    return [child for child, command in commands.items() if "popen_loky" in command]


def test_tasks_of_a_killed_process_start_again_and_finished_ones_do_not(tmp_path, capfd):
    assert sorted(noted(tmp_path, LOKY, deadly="e")) == [(n, n.upper()) for n in "abcdef"]
    counts = n_starts(tmp_path)
    assert [counts[name] for name in "abc"] == [1, 1, 1]
    assert counts["e"] == 2
    output = capfd.readouterr().out
    assert re.search(r"a process was killed \(for memory\?\): [123] of 6 fits are unfin", output)


def test_a_task_that_kills_its_process_every_time_is_named_and_takes_no_other_with_it(tmp_path):
    with pytest.raises(InputError, match=r"^c: its process is killed every time.* memory"):
        noted(tmp_path, LOKY, deadly="c", always=True)
    assert n_starts(tmp_path)["c"] == local.MAX_PARALLEL_ATTEMPTS + 1


def test_a_run_whose_process_is_killed_writes_the_bytes_of_a_serial_run(overrides, prepared):
    with training(*overrides, "train.workers=2") as process:
        output, finished = first_fit(process)
        inode = finished.stat().st_ino
        os.kill(loky_workers(process.pid)[0], signal.SIGKILL)
        output += process.stdout.read()
        assert process.wait() == 0, output
    assert "a process was killed" in output
    assert finished.stat().st_ino == inode
    assert trained_twice(output) == []
    assert_same_bytes(overrides, prepared)


def test_every_process_has_a_gpu_to_itself_and_keeps_it(tmp_path):
    slots, tasks = ["3", "GPU-7"], {str(i): () for i in range(8)}
    pairs = {pair for _, pair in run_tasks(gpu, tasks, LOKY, slots, tmp_path)}  # (GPU, process)
    assert sorted(dict(pairs)) == slots
    assert len(pairs) == 2
