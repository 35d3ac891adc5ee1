"""Processes that end with the one that started them, even if that one was killed (kill -9).

These are the stages of run_all, and the workers of 50_train and of 40_tune.
"""

import ctypes
import os
import signal

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h
RUN = "MMCTR_RUN"  # environment variable by which run_all names itself to its stages


def die_with_parent(parent: int) -> None:
    """Let Linux end this process as by `kill` when its parent, process `parent`, ends.

    If the parent has ended already, so does this process. By ctypes, since neither the standard
    library nor psutil has prctl.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def started_at(pid: int) -> str:
    """When a process began, in seconds since boot; empty for one that does not exist or has ended.

    Together with its number this identifies a process. It is counted from boot, since a change of
    the clock moves both of psutil's times.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def die_with_run() -> None:
    """For a stage: end with run_all, if that started it. The stage's own children do not."""
    parent = os.environ.pop(RUN, None)
    if parent is not None:
        die_with_parent(int(parent))


def environment() -> dict[str, str]:
    """The environment that run_all gives its stages."""
    return os.environ | {RUN: str(os.getpid())}
