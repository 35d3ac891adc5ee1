"""One process at a time."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import InputError
from features.store.atomic import replace_folder
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.reporting import leaderboard
from pipeline.runs.board import of_profile
from pipeline.runtime.build import build
from tests.pipeline.reporting.test_leaderboard import SCORES

ROOT = Path(__file__).resolve().parents[3]
HOLD = (
    "import sys, time; from pathlib import Path; from pipeline.artifacts.locks import locked\n"
    "with locked(Path(sys.argv[1]), 'it') as waited:\n"
    "    print('held', waited, flush=True); time.sleep(float(sys.argv[2]))\n"
)


def holder(path: Path, seconds: float = 60) -> subprocess.Popen:
    """A process that holds the lock already."""
    begun = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    process = subprocess.Popen(begun, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held False\n"
    return process


def test_the_second_waits_and_says_for_whom(tmp_path, capsys):
    path = tmp_path / "folder" / ".lock"
    first = holder(path, 0.5)
    with locked(path, "20_folds folds-1") as waited:
        assert waited
        assert first.poll() is not None or first.wait(5) == 0
    assert f"20_folds folds-1 waits for process {first.pid} on " in capsys.readouterr().out
    assert not list(path.parent.iterdir())


def test_a_killed_holder_holds_nobody_up_and_what_it_left_is_taken_over(tmp_path, capsys):
    path = tmp_path / ".lock"
    first = holder(path)
    first.kill()
    first.wait()
    assert path.exists()
    with locked(path, "it") as waited:
        assert not waited
        assert str(os.getpid()) in path.read_text()
        assert str(first.pid) not in path.read_text()
    assert capsys.readouterr().out == ""
    assert not path.exists()


def test_many_at_once_are_one_at_a_time(tmp_path, capsys):
    """Threads open the file for themselves, and so stand for processes."""
    inside, most, done = [], [], []

    def work(i: int) -> None:
        for _ in range(20):
            with locked(tmp_path / ".lock", "it"):
                inside.append(i)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(i)
        done.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(8))
    assert set(most) == {1}
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_the_wait(tmp_path):
    path = tmp_path / ".lock"
    first = holder(path)
    waiting = "from pipeline.runtime import cli\n" + HOLD.replace(
        "with locked", "def f():\n  with locked"
    )
    waiting = waiting.replace("    print", "      print") + "sys.exit(cli.exit_code(f))"
    begun = [sys.executable, "-c", waiting, str(path), "1"]
    second = subprocess.Popen(
        begun, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "waits for process" in second.stdout.readline()
    second.send_signal(signal.SIGINT)
    assert second.wait(10) == 130
    assert second.stderr.read().startswith("interrupted: ")
    first.kill()
    first.wait()


def test_files_that_cannot_be_locked_are_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(InputError, match=r"cannot be locked there .* artifacts=DIR"),
        locked(tmp_path / ".lock", "it"),
    ):
        raise AssertionError


def test_what_two_want_at_once_is_made_once(tmp_path, capsys):
    target, made = ArtifactSpec("20_folds", "kfold", tmp_path, {"n": 5}), []

    def fill(out) -> dict:
        made.append(threading.get_ident())
        time.sleep(0.2)
        (out / "a.txt").write_text("x")
        return {}

    for force in (False, True):  # the second time, what is there is built again, once
        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(build, target, force, fill) for _ in range(2)]:
                one.result()
        assert len(made) == 1 + force
    lines = capsys.readouterr().out.splitlines()
    assert sum("waits for process" in line for line in lines) == 2
    assert sum(" is up to date" in line for line in lines) == 2
    assert [path.name for path in tmp_path.iterdir()] == [target.path.name]


def test_what_several_make_together_appears_whoever_is_last(tmp_path):
    """The workers of a study on several machines all write its winner, at the same moment."""
    target, start = ArtifactSpec("40_tune", "qin", tmp_path, {"n": 5}), threading.Barrier(2)

    def fill(path: Path) -> None:
        (path / "a.txt").write_text("x")
        start.wait()

    for i in range(30):
        scratches = [tmp_path / f".{target.path.name}.{i}{j}" for j in "ab"]
        with ThreadPoolExecutor(2) as pool:
            for scratch in scratches:
                scratch.mkdir()
            for done in [pool.submit(appear, fill, scratch, target.path) for scratch in scratches]:
                done.result()
        assert [path.name for path in tmp_path.iterdir()] == [target.path.name]


def appear(fill, scratch: Path, path: Path) -> None:
    fill(scratch)
    replace_folder(scratch, path)


def test_rows_of_the_board_that_come_at_once_are_all_there(tmp_path, capsys):
    """Profiles share leaderboard.csv."""
    board, manifest = tmp_path / "leaderboard.csv", {
        "commit": "abc", "rules": "research", "blend": "best_single",
        "weights": None, "runs": ["a-1"], "external": None,
    }  # fmt: skip
    folders = [tmp_path / f"profile{i}" / "research-1" for i in range(12)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "artifact.json").write_text('{"made": "2026-01-02T10:30:05"}')
    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(leaderboard.record, board, f, SCORES) for f in folders]:
            done.result()
    assert all(len(of_profile(board, f"profile{i}")) == 1 for i in range(12))
    files = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert files == ["LEADERBOARD.md", "leaderboard.csv"]
