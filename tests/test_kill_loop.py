"""kill -9 at random moments of every stage, and two runs at once in one folder.

A tiny sample runs undisturbed. In other folders it starts again and again and is killed in one
stage after another, at a random moment of that stage: the whole process group, only the main
process, or one of its children. In the end no process may be left, and prediction.csv must be the
same, byte for byte.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from pipeline import graph
from tests.helpers.tiny_runs import ROOT, TINY

pytestmark = pytest.mark.long

KILLS = 30
SEED = 0
TARGETS = ("group", "main", "child")
OVERRIDES = [
    *(override for override in TINY if "max_epochs" not in override),
    "network.fit.max_epochs=30", "network.fit.patience=30", "train.save_every=0",
    "network.fit.prefixes=2", "tune.trials=2",
    "blend.method=logit_mean",  # every fit is in the submission
]  # fmt: skip
ALL_ENDED_S = 60.0  # after which no process of a killed run may be left


class RunProcess:
    """run_all in a new session, with its output in a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.txt"
        folders = [f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "sample", *OVERRIDES, *folders],
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def children(self) -> dict[int, str]:
        """The command lines of this run's processes, without the main one."""
        commands = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                ours = os.getsid(process.pid) == self.process.pid != process.pid
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    commands[process.pid] = " ".join(process.cmdline())
        return commands

    def stage(self) -> str:
        """The running stage; empty between two stages."""
        commands = " ".join(self.children().values())
        stages = re.findall(r"-m pipeline\.(\d\d_\w+)", commands)
        return stages[0] if stages else ""

    def kill(self, target: str, rng: random.Random) -> None:
        children = sorted(self.children())
        if target == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif target == "main" or not children:
            self.process.kill()
        else:
            os.kill(rng.choice(children), signal.SIGKILL)

    def wait(self) -> list[str]:
        """Wait until all processes end; return those left ALL_ENDED_S after the main one."""
        self.process.wait(timeout=600)
        deadline = time.monotonic() + ALL_ENDED_S
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.05)
        return list(self.children().values())

    def finish(self) -> None:
        assert self.wait() == []
        assert self.process.returncode == 0, self.log.read_text()[-3000:]


def stage_seconds(run: RunProcess) -> dict[str, float]:
    """How long each stage of an undisturbed run takes."""
    seconds = Counter()
    while not run.ended:
        before = time.monotonic()
        time.sleep(0.02)
        seconds[run.stage()] += time.monotonic() - before
    run.finish()
    return {stage: taken for stage, taken in seconds.items() if stage}


def predictions(folder: Path) -> tuple[str, bytes]:
    """The only submission of a folder: its name, a hash of all inputs, and its bytes."""
    (path,) = folder.glob("submissions/sample/research-*/prediction.csv")
    return path.parent.name, path.read_bytes()


def test_a_run_that_is_killed_again_and_again_predicts_what_an_undisturbed_one_does(
    tmp_path, capsys
):
    rng, started = random.Random(SEED), time.monotonic()
    (tmp_path / "undisturbed").mkdir()
    seconds = stage_seconds(RunProcess(tmp_path / "undisturbed"))
    expected = predictions(tmp_path / "undisturbed")
    assert {*seconds} == {*graph.STAGES}
    kills, targets, orphans, differences, folders = Counter(), Counter(), [], 0, []
    todo = sorted([*seconds, "50_train", "50_train"])  # the fits are most of a real run
    while todo:
        folder = tmp_path / f"killed{len(folders)}"
        folder.mkdir()
        folders.append(folder)
        assert len(folders) < 10
        for stage in todo:
            run, target = RunProcess(folder), rng.choice(TARGETS)
            while not run.ended and run.stage() < stage:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, seconds[stage]))
            stage_now = run.stage()
            if run.ended:
                run.finish()
                break
            run.kill(target, rng)
            kills[stage_now or "between stages"] += 1
            targets[target] += 1
            orphans += run.wait()
        RunProcess(folder).finish()
        differences += predictions(folder) != expected
        assert (folder / "submissions/LEADERBOARD.md").read_text().count("sample/research-") == 1
        logs = "".join((folder / "log.txt").read_text() for folder in folders)
        resumed = logs.count(" resumes after epoch ")
        if sum(kills.values()) >= KILLS:
            todo = [s for s in seconds if not kills[s] or (s == "50_train" and not resumed)]
    with capsys.disabled():
        print(f"\nkills {sum(kills.values())} ({dict(targets)}), in {dict(sorted(kills.items()))}")
        print(f"folders {len(folders)}, fits resumed {resumed}", end=", ")
        print(f"processes left {len(orphans)}, differences {differences}", end=", ")
        print(f"{time.monotonic() - started:.0f} s")
    assert (orphans, differences) == ([], 0)


def test_two_runs_at_once_in_one_folder_predict_what_one_does(tmp_path):
    for name in ("single", "shared"):
        (tmp_path / name).mkdir()
    runs = [RunProcess(tmp_path / name) for name in ("shared", "shared", "single")]
    for run in runs:
        run.finish()
    log = (tmp_path / "shared/log.txt").read_text()
    assert " waits for process " in log
    assert len(re.findall(r"50_train .* epochs=", log)) == 8
    assert predictions(tmp_path / "shared") == predictions(tmp_path / "single")
    assert (tmp_path / "shared/submissions/LEADERBOARD.md").read_text().count(
        "sample/research-"
    ) == 1
    assert not [p for p in (tmp_path / "shared/artifacts").rglob(".*") if "journal" not in p.name]
