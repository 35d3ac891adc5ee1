"""How processes end: with the one that started them, even where that was killed (kill -9).

The stages of run_all, the workers of 50_train and of 40_tune. Linux sends the signal.
"""

import ctypes
import os
import signal
import time

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SIGNAL_DEBOUNCE_S = 1.0  # seconds in which signals are one
RUN = "MMCTR_RUN"  # environment variable by which run_all names itself to its stages


class SigtermHandler:
    """Handler of SIGTERM: KeyboardInterrupt, once a blow.

    A parent that is killed may send several, a thread of it each, milliseconds apart. A second
    KeyboardInterrupt would end what the first has begun to clear up.
    """

    def __init__(self) -> None:
        self.last = -SIGNAL_DEBOUNCE_S

    def __call__(self, number: int, frame) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before > SIGNAL_DEBOUNCE_S:
            raise KeyboardInterrupt


def die_with_parent(parent: int) -> None:
    """End as by `kill` when process `parent` ends, which started this one; now, if it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def started_at(pid: int) -> str:
    """When a process began, in seconds since boot; empty for one that does not exist or has ended.

    With its number this identifies a process. A change of the clock moves both times alike.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def die_with_run() -> None:
    """For a stage: end with run_all, where that started it. Its own children are not meant."""
    parent = os.environ.pop(RUN, None)
    if parent is not None:
        die_with_parent(int(parent))


def environment() -> dict[str, str]:
    """What run_all gives its stages."""
    return os.environ | {RUN: str(os.getpid())}
