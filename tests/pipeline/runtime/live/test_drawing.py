"""The host in this process, at a terminal of its own: what it draws and logs, and when it ends."""

import contextlib
import fcntl
import functools
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import pytest

from bench.terminal import Screen
from pipeline.runtime.live import host
from pipeline.runtime.live.events import BEGIN, END


@pytest.fixture
def terminal():
    """Our end of a terminal of 40x6, and the host's."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 40, 0, 0))
    yield master, slave
    os.close(master)
    os.close(slave)


def drawn(master: int) -> list[str]:
    screen, text = Screen(40, 6), b""
    os.set_blocking(master, False)
    with contextlib.suppress(BlockingIOError):
        while True:  # a terminal gives 4 kB at a time
            text += os.read(master, 1 << 16)
    screen.feed(text.decode())
    return [line for line in screen.lines() if line]


def test_messages_are_drawn_and_logged_whole_once_the_folder_is_there(terminal, tmp_path):
    master, slave = terminal
    drawer = host.Host("50_train", slave)
    log = tmp_path / "sample" / "run.log"
    long = "50_train warning: a sentence that is too long for it"
    drawer.take([{"log": str(log)}, {"say": "x " * 50, "whole": "x" * 60}, long])
    expected = ["x " * 18 + "...", "50_train warning: a sentence that is too", "  long for it"]
    assert drawn(master) == [*expected, "| 50_train  00:00 elapsed"]
    log.parent.mkdir()
    drawer.parser.feed(b"an unfinished last line")
    drawer.end()
    assert drawn(master) == ["an unfinished last line"]
    assert log.read_text().splitlines() == ["x" * 60, long, "an unfinished last line"]


def test_a_new_stage_begins_without_lines_and_counts(terminal):
    master, slave = terminal
    drawer = host.Host("", slave)
    fit = {"task": "a", "pid": 1, "fields": ["  a"], "share": 0, "at_most": True}
    drawer.take([{"total": "fits", "done": 1, "of": 2, "at_once": 1, "note": ""}, fit])
    assert drawn(master) == ["  a", "| 1 of 2 fits, 00:00 elapsed"]
    drawer.take([{"stage": "60_blend", "number": "stage 8 of 10"}])
    assert drawn(master) == ["| stage 8 of 10 60_blend  00:00 elapsed"]


def test_lines_fit_a_terminal_that_was_made_narrower(terminal):
    master, slave = terminal
    drawer = host.Host("50_train", slave)
    fields = ["  qin seed 0 fold 1", "epoch 2 of <=20", "45%"]
    fit = {"task": "a", "pid": 1, "fields": fields, "share": 0, "at_most": True}
    drawer.take([fit])
    assert drawn(master) == ["  qin seed 0 fold 1 epoch 2 of <=20 45%", "| 50_train  00:00 elapsed"]
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 26, 0, 0))
    drawer.take([])
    assert drawn(master) == ["  qin seed 0 fold 1", "| 50_train  00:00 elapsed"]


def test_a_terminal_that_knows_no_size_counts_as_80_columns(terminal):
    _, slave = terminal
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    assert host.Host("", slave).size == (80, 24)


def test_a_terminal_that_is_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    drawer = host.Host("", writer)
    drawer.write("a line")
    os.close(writer)


@pytest.mark.parametrize("holds_pipe", [False, True])
def test_it_draws_until_its_child_ends_and_ends_as_that_did(terminal, monkeypatch, holds_pipe):
    """Also where a grandchild keeps the pipe open."""
    master, slave = terminal
    reader, writer = os.pipe()
    event = BEGIN.decode() + '{"total": "fits", "done": 1, "of": 2, "at_once": 1, "note": ""}'
    event += END.decode()
    left = "import subprocess; subprocess.Popen(['sleep', '3']); " if holds_pipe else ""
    code = f"{left}import sys; sys.stderr.write({event + 'last line'!r}); sys.exit(3)"
    child = subprocess.Popen([sys.executable, "-c", code], stderr=writer)
    os.close(writer)
    ends = []
    monkeypatch.setattr(host, "Host", functools.partial(host.Host, terminal=slave))
    monkeypatch.setattr(host, "TICK_S", 0.02)
    monkeypatch.setattr(host, "end_as", ends.append)
    host.run(child.pid, reader, "50_train")
    os.close(reader)
    child.returncode = 3  # it has been waited for
    assert ends == [3]
    assert drawn(master)[-1] == "last line"


def test_signals_to_the_host_alone_are_passed_on(monkeypatch):
    sent = []
    monkeypatch.setattr(host.os, "kill", lambda *arguments: sent.append(arguments))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, host.FORWARDED)
    try:
        signal.raise_signal(signal.SIGTERM)
        host.forward(7)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert sent == [(7, signal.SIGTERM)]
