"""The host of a terminal: it draws what the processes below it report, until the first one ends.

It is a process of its own, so that no stage can stop it: one that imports, holds Python's lock or
waits for a GPU. It computes nothing and holds no results; if it is killed, the run below it ends
as by `kill` (PR_SET_PDEATHSIG).
"""

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from pipeline.runtime.live.events import FORWARDED
from pipeline.runtime.live.frame import folded, frame, shortened
from pipeline.runtime.live.stream import Parser
from pipeline.runtime.live.work import Work

TICK_S = 0.25  # between two frames
FROM_TERMINAL = 128  # si_code of a signal that the kernel sent, to the whole process group


class Host:
    """The state of the terminal, and of the log."""

    def __init__(self, title: str, terminal: int = 2) -> None:
        self.work = Work(title, time.monotonic())
        self.terminal, self.parser = terminal, Parser(sys.stderr.encoding)
        self.log: Path | None = None
        self.unlogged: list[str] = []
        self.mode = "wb"  # of the log

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines; 80x24 where the terminal does not know them, or is gone."""
        try:
            size = os.get_terminal_size(self.terminal)
        except OSError:
            return os.terminal_size((80, 24))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def take(self, items: list[str | dict]) -> None:
        """Draw messages and apply events, and draw the live lines below."""
        width, height = self.size
        messages: list[str] = []
        for item in items:
            if isinstance(item, str):
                messages += folded(item, width)
                self.unlogged.append(item)
            elif "say" in item:
                messages.append(shortened(item["say"], width))
                self.unlogged.append(item["whole"])
            elif "log" in item:
                self.log = self.log or Path(item["log"])
            elif "stage" in item:
                self.work = Work(item["stage"], time.monotonic(), item["number"])
            else:
                self.work.apply(item, time.monotonic())
        live = self.work.lines(time.monotonic(), width - 1, height - 1)
        self.write(frame(messages, live, width))
        self.write_log()

    def end(self) -> None:
        """Draw what is left, and no live lines."""
        width, _ = self.size
        messages = self.parser.close()
        self.unlogged += messages
        self.write(frame([part for m in messages for part in folded(m, width)], [], width))
        self.write_log()

    def write(self, text: str) -> None:
        try:
            data = text.encode(self.parser.encoding, "surrogateescape")  # as it was decoded
        except UnicodeEncodeError:  # an event's text, which this encoding lacks
            data = text.encode(self.parser.encoding, "backslashreplace")
        with contextlib.suppress(OSError):  # the terminal is gone; the run ends by SIGHUP, or not
            while data:
                data = data[os.write(self.terminal, data) :]

    def write_log(self) -> None:
        """Write what has been printed, once a stage has made the folder; a full disk loses it."""
        if self.log is None or not self.unlogged or not self.log.parent.is_dir():
            return
        lines = "".join(f"{line}\n" for line in self.unlogged)
        with contextlib.suppress(OSError), self.log.open(self.mode) as file:
            file.write(lines.encode("utf-8", "surrogateescape"))
        self.unlogged, self.mode = [], "ab"


def run(child: int, pipe: int, title: str) -> NoReturn:
    """Draw what comes out of `pipe` until process `child` ends; end as it did."""
    host, status = Host(title), None
    host.take([])
    while status is None:
        ready, _, _ = select.select([pipe], [], [], TICK_S)
        data = os.read(pipe, 1 << 16) if ready else b""
        ended = bool(ready) and not data  # all that could write have ended
        host.take(host.parser.feed(data))
        forward(child)
        pid, found = os.waitpid(child, 0 if ended else os.WNOHANG)
        status = found if pid else None
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):  # a grandchild may hold the pipe open
        while data := os.read(pipe, 1 << 16):
            host.take(host.parser.feed(data))
    host.end()
    end_as(os.waitstatus_to_exitcode(status))


def forward(child: int) -> None:
    """Send `child` the signals that were sent to this process alone; they are blocked here."""
    while (got := signal.sigtimedwait(FORWARDED, 0)) is not None:
        if got.si_code != FROM_TERMINAL:
            os.kill(child, got.si_signo)


def end_as(code: int) -> NoReturn:
    """End this process with an exit code; negative: by that signal."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        os.kill(os.getpid(), -code)
    os._exit(code)
