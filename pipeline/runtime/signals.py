"""What SIGINT and SIGTERM do to a stage: one line on stderr and exit code 130, never a traceback.

While a stage imports what it needs, which takes seconds, a signal ends it at once. While it works,
a signal is a KeyboardInterrupt, so that it can remove what it has half written. When it has ended,
a signal does no more than set the exit code.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = "interrupted: finished work is kept; run the same command again to resume"
SIGNAL_DEBOUNCE_S = 1.0  # signals that come within this time count as one

stage_running = False


def install() -> None:
    """Install the handlers. An entry point calls this before its other imports."""
    signal.signal(signal.SIGTERM, interrupt)
    # SIGINT stays ignored where it is, as under nohup. Its handler is never changed again: polars
    # puts its own in front of this one, to end a query.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def stage() -> Iterator[None]:
    """Within it, signals raise KeyboardInterrupt; after it, they end the process in silence."""
    global stage_running
    raise_once.last = -SIGNAL_DEBOUNCE_S
    signal.signal(signal.SIGTERM, raise_once)  # `kill` and `timeout` send it
    stage_running = True
    try:
        yield
    finally:
        stage_running = False
        signal.signal(signal.SIGTERM, exit_in_silence)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handler: KeyboardInterrupt while the stage is running; before that, the line and the end."""
    if stage_running:
        return raise_once(number, frame)
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)


def exit_in_silence(number: int, frame: FrameType | None) -> None:
    """Handler for a stage that has printed its last line."""
    os._exit(130)


class OncePerBurst:
    """Handler while the stage is running: one KeyboardInterrupt for a burst of signals.

    When a process is killed, each of its threads sends its children a signal, milliseconds apart,
    and `timeout` signals a process and then its group. A second KeyboardInterrupt would break off
    the clean-up that the first one began.
    """

    def __init__(self) -> None:
        self.last = -SIGNAL_DEBOUNCE_S

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before > SIGNAL_DEBOUNCE_S:
            raise KeyboardInterrupt


raise_once = OncePerBurst()
