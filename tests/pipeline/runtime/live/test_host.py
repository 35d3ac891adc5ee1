"""Processes below a terminal: what a person sees of them, and how they end."""

import os
import signal
import sys
import time

import pytest

from bench.terminal import record, terminal
from pipeline.runtime import signals
from pipeline.runtime.live.host import Host
from tests.helpers.live_stage import LONG, NAMES
from tests.helpers.tiny_runs import ROOT


def command(what: str, folder) -> list[str]:
    return [sys.executable, "-m", "tests.helpers.live_stage", what, str(folder)]


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("MMCTR_LIVE", "JPY_PARENT_PID", "RANK"):
        monkeypatch.delenv(name, raising=False)


def test_every_running_fit_has_a_line_and_no_line_wraps_or_collides(tmp_path):
    seen = record(command("fits", tmp_path), 80, 24, every=0.2)
    assert seen.code == 0, seen.messages()
    assert (seen.collisions(), seen.screen.wrapped) == ([], [])
    assert seen.longest_still() < 5  # about 1 s; a busy machine may give the host no time
    screens = ["\n".join(lines) for _, lines in seen.looks]
    two_at_once = [text for text in screens if text.count("of <=3") == 2]
    scores = ("loss 0.6000  auc 0.6000", "loss 0.3000  auc 0.7000")  # of the first two epochs
    assert any("rows/s" in text and any(s in text for s in scores) for text in two_at_once)
    assert all("of 4 fits" in text for text in two_at_once)
    assert any("elapsed, about 00:0" in text for text in screens)
    messages = seen.messages()
    assert [f"50_train {name} done" in messages for name in NAMES] == [True] * 4
    assert any(line.startswith("a process was killed") for line in messages)
    log = (tmp_path / "run.log").read_text().splitlines()
    assert [f"50_train {tmp_path}/{name} done" in log for name in NAMES] == [True] * 4
    assert log[-1] == LONG  # whole in the log, folded on the terminal
    assert LONG not in messages


def started(folder) -> int:
    """The number of the process that sleeps, once it does."""
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((folder / "pid").read_text())


def until_end(master: int) -> str:
    """What comes out of a terminal until its last process ends."""
    text = b""
    while True:
        try:
            data = os.read(master, 1 << 16)
        except OSError:
            return text.decode()
        if not data:
            return text.decode()
        text += data


def test_a_terminal_that_is_gone_and_bytes_of_another_encoding_end_no_run(tmp_path):
    """A closed window; a file name in Latin-1; a sign that an ASCII terminal lacks."""
    reader, writer = os.pipe()  # no terminal: it knows no size
    host = Host("50_train", writer)
    host.parser.encoding = "ascii"
    host.log = tmp_path / "run.log"
    lines = host.parser.feed(b"caf\xe9\n")
    host.take([*lines, {"say": "0.5 ± 0.1", "whole": "0.5 ± 0.1"}])
    os.close(reader)
    host.end()
    os.close(writer)
    assert (tmp_path / "run.log").read_bytes() == b"caf\xe9\n" + "0.5 ± 0.1\n".encode()


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGINT", "SIGTERM"])
def test_a_stage_below_the_host_is_interrupted_as_it_would_be_alone(tmp_path, how):
    with terminal(command("sleeps", tmp_path), 80, 24) as (pid, master):
        assert started(tmp_path) != pid
        if how == "Ctrl-C":
            os.write(master, b"\x03")
        else:
            os.kill(pid, getattr(signal, how))
        printed = until_end(master)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert printed.count(signals.INTERRUPTED.split(";")[0]) == 1


@pytest.mark.parametrize("victim", ["host", "stage"])
def test_a_host_and_its_stage_end_together(tmp_path, victim):
    with terminal(command("sleeps", tmp_path), 80, 24) as (pid, master):
        stage = started(tmp_path)
        os.kill(pid if victim == "host" else stage, signal.SIGKILL)
        until_end(master)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{stage}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
