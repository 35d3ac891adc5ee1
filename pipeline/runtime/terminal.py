"""A terminal gets live lines: the first process of a run draws them, and works in a child.

What that child and all processes below it write to the terminal goes through one pipe, and the
process that draws is the only one that writes to the terminal: no line collides with another.
"""

import os
import signal
import stat
import sys
from collections.abc import Sequence

from pipeline.runtime.live.events import FORWARDED, LIVE

BRIEF = {"-h", "--help", "--dry-run", "--dashboard", "runs"}  # no work, or no end
NOTEBOOK = "JPY_PARENT_PID"  # Jupyter's variable: its output cells do not move the cursor up


def start() -> None:
    """Return in a process whose lines a host draws, where there is a terminal for that.

    An entry point calls this before its other imports: a process with threads cannot be forked.
    """
    if wanted(sys.argv[1:]):
        _host()
    if LIVE in os.environ and sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)


def _host() -> None:
    """Fork: the parent draws until it exits, the child goes on below it."""
    (reader, writer), parent = os.pipe(), os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child:
        from pipeline.runtime.live import host

        os.close(writer)
        host.run(child, reader, title(sys.orig_argv))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    from pipeline.runtime import processes

    processes.die_with_parent(parent)
    for number in (1, 2):
        if os.isatty(number):
            os.dup2(writer, number)
    os.close(reader)
    os.close(writer)
    os.environ[LIVE] = "1"


def wanted(arguments: Sequence[str]) -> bool:
    """Whether this process should draw: of those that share a terminal, only one does.

    Where stdout is a pipe, as in `| tee`, plain lines come: what is behind it may write to the
    same terminal.
    """
    draws_already = LIVE in os.environ or os.environ.get("RANK", "0") != "0"
    cannot_draw = NOTEBOOK in os.environ or os.environ.get("TERM", "dumb") == "dumb"
    brief = BRIEF if title(sys.orig_argv) else BRIEF | {"--settings"}  # 90_score's is a file
    if draws_already or cannot_draw or sys.stdout is None or not brief.isdisjoint(arguments):
        return False
    mode = os.fstat(1).st_mode
    return os.isatty(2) and not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def title(command: Sequence[str]) -> str:
    """The stage that a command line runs: `50_train`; empty for run_all."""
    modules = [word for word in command if word.startswith("pipeline.")]
    return modules[0].removeprefix("pipeline.") if modules else ""
