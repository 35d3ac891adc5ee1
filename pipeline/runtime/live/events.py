"""What a process of a run reports of its work: events, which the host of the terminal draws.

An event is a line of JSON between ESC _ and ESC \\, which terminals skip, on stderr among the
ordinary messages. So events need no channel of their own, arrive in order with the messages, come
from every process that inherits stderr, and end with a process that is killed. Where no host draws
(stderr is no terminal), nothing is sent.

    log     path of the file that gets every line, whole
    say     a line that is cut where it is longer than the terminal is wide
    whole   the same line for the log, with what `say` leaves out
    stage   name of the stage that begins; `number`: its number, as text
    total   unit of what is counted; `done`, `of`, `at_once`, and a `note`
    task    name of a live line; `fields` to show, the `share` of it that is done, and whether
            that may become more at once (`at_most`); without fields: it has ended
    gone    process whose live lines end, since it was killed; 0: those of all
"""

import contextlib
import json
import os
import signal
import sys

LIVE = "MMCTR_LIVE"  # environment variable of the processes below a host
BEGIN, END = b"\x1b_mmctr", b"\x1b\\"
FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}  # by the host, to the run below it
PER_SECOND = 4  # that a loop reports its progress, at most


def is_live() -> bool:
    """Whether a host draws what this process reports."""
    return LIVE in os.environ


def shows_stdout() -> bool:
    """Whether a host gets what this process prints, too; else stdout is a file."""
    return is_live() and os.path.sameopenfile(1, 2)


def send(**event: object) -> None:
    """Report an event, where a host draws. A host that is gone takes this process with it."""
    if is_live():
        sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError):
            os.write(2, BEGIN + json.dumps(event).encode() + END)


def say(short: str, whole: str) -> None:
    """Print a line: `whole`; on a terminal `short`, with the whole line in the log."""
    if shows_stdout():
        send(say=short, whole=whole)
    else:
        print(whole, flush=True)


def total(unit: str, done: int, of: int, at_once: int = 1, note: str = "") -> None:
    """Report how much of the stage is done."""
    send(total=unit, done=done, of=of, at_once=at_once, note=note)


def task(name: str, fields: list[str], share: float = 0, at_most: bool = False) -> None:
    """Show a live line."""
    send(task=name, pid=os.getpid(), fields=fields, share=share, at_most=at_most)


def end(name: str) -> None:
    """Remove a live line, whose work is done."""
    send(task=name, fields=[])


def gone(pid: int = 0) -> None:
    """Remove the live lines of a process that was killed; of all processes for 0."""
    send(gone=pid)
