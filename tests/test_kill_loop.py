"""kill -9 at random moments of every stage, and runs side by side.

A tiny sample runs undisturbed. In other folders it is started again and again, and killed in one
stage after another, at a random moment of the time that the stage took: the whole process group,
the main process alone, or any of its children. In the end there must be the same prediction.csv,
byte for byte, and no process.
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
from tests.test_run_all import ROOT, TINY

pytestmark = pytest.mark.long

KILLS = 30
SEED = 0
TARGETS = ("group", "main", "child")
WORDS = [
    *(word for word in TINY if "max_epochs" not in word),
    "network.fit.max_epochs=30", "network.fit.patience=30", "train.save_every=0",
    "tune.trials=2", "blend.method=logit_mean",  # every fit is in the submission
]  # fmt: skip
ENDED = 60.0  # seconds in which all processes of a killed run must be gone


class Run:
    """run_all in a session of its own, writing to a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.txt"
        own = [f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "sample", *WORDS, *own],
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def children(self) -> dict[int, str]:
        """Command lines of the processes of this run, without the main one."""
        lines = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                mine = os.getsid(process.pid) == self.process.pid != process.pid
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    lines[process.pid] = " ".join(process.cmdline())
        return lines

    def stage(self) -> str:
        """The stage that is running; empty between two of them."""
        lines = " ".join(self.children().values())
        stages = re.findall(r"-m pipeline\.(\d\d_\w+)", lines)
        return stages[0] if stages else ""

    def kill(self, target: str, draw: random.Random) -> None:
        children = sorted(self.children())
        if target == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif target == "main" or not children:
            self.process.kill()
        else:
            os.kill(draw.choice(children), signal.SIGKILL)

    def wait(self) -> list[str]:
        """Wait for the main process; command lines of processes that do not end after it."""
        self.process.wait(timeout=600)
        deadline = time.monotonic() + ENDED
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.05)
        return list(self.children().values())

    def finish(self) -> None:
        assert self.wait() == []
        assert self.process.returncode == 0, self.log.read_text()[-3000:]


def times(run: Run) -> dict[str, float]:
    """Seconds of every stage of a run that is left alone."""
    taken = Counter()
    while not run.over:
        before = time.monotonic()
        time.sleep(0.02)
        taken[run.stage()] += time.monotonic() - before
    run.finish()
    return {stage: seconds for stage, seconds in taken.items() if stage}


def predictions(folder: Path) -> tuple[str, bytes]:
    """The one submission of a folder: its name, which stands for all inputs, and its bytes."""
    (path,) = folder.glob("submissions/sample/*/prediction.csv")
    return path.parent.name, path.read_bytes()


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(tmp_path, capsys):
    draw, started = random.Random(SEED), time.monotonic()
    (tmp_path / "undisturbed").mkdir()
    taken = times(Run(tmp_path / "undisturbed"))
    expected = predictions(tmp_path / "undisturbed")
    assert {*taken} == {*graph.STAGES}
    hit, targets, orphans, differences, folders = Counter(), Counter(), [], 0, []
    missed = sorted([*taken, "50_train", "50_train"])  # the fits are most of a real run
    while missed:
        folder = tmp_path / f"killed{len(folders)}"
        folder.mkdir()
        folders.append(folder)
        assert len(folders) < 10
        for stage in missed:
            run, target = Run(folder), draw.choice(TARGETS)
            while not run.over and run.stage() < stage:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, taken[stage]))
            now = run.stage()
            if run.over:
                run.finish()
                break
            run.kill(target, draw)
            hit[now or "between stages"] += 1
            targets[target] += 1
            orphans += run.wait()
        Run(folder).finish()
        differences += predictions(folder) != expected
        assert (folder / "submissions/LEADERBOARD.md").read_text().count("sample/research-") == 1
        logs = "".join((folder / "log.txt").read_text() for folder in folders)
        resumed = logs.count(" resumes after epoch ")
        if sum(hit.values()) >= KILLS:
            missed = [s for s in taken if not hit[s] or (s == "50_train" and not resumed)]
    with capsys.disabled():
        print(f"\nkills {sum(hit.values())} ({dict(targets)}), in {dict(sorted(hit.items()))}")
        print(f"folders {len(folders)}, fits resumed {resumed}", end=", ")
        print(f"processes left {len(orphans)}, differences {differences}", end=", ")
        print(f"{time.monotonic() - started:.0f} s")
    assert (orphans, differences) == ([], 0)


def test_two_runs_at_once_in_one_folder_end_as_one(tmp_path):
    for name in ("alone", "two"):
        (tmp_path / name).mkdir()
    first, second, alone = Run(tmp_path / "two"), Run(tmp_path / "two"), Run(tmp_path / "alone")
    for run in (first, second, alone):
        run.finish()
    log = (tmp_path / "two/log.txt").read_text()
    assert " waits for process " in log
    assert len(re.findall(r"50_train .* epochs=", log)) == 6
    assert predictions(tmp_path / "two") == predictions(tmp_path / "alone")
    assert (tmp_path / "two/submissions/LEADERBOARD.md").read_text().count("sample/research-") == 1
    assert not [p for p in (tmp_path / "two/artifacts").rglob(".*") if "journal" not in p.name]
