"""One process at a time: the second waits, and says for whom.

Runs that were started in one folder at once so never make one artifact together, nor write one row
of LEADERBOARD.md over another. The kernel frees a lock with the process that holds it, however that
ends; a lock's file that is left behind holds nobody up.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from features.errors import InputError

POLL = 0.1  # seconds


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock that is the file `path`; yields whether another process was waited for.

    `what` begins the line that says so. Raises InputError where files cannot be locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file, waited = _lock(path, what)
    try:
        me = f"process {os.getpid()} on {socket.gethostname()}, at it since {time.strftime('%X')}"
        file.truncate(0)
        os.pwrite(file.fileno(), me.encode(), 0)
        yield waited
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _lock(path: Path, what: str) -> tuple[TextIO, bool]:
    waited = False
    while True:
        file = path.open("a+")
        try:
            if not taken(file):
                waited = _wait(file, what)
            if _still(path, file):  # whoever had it has not removed it
                return file, waited
        except BaseException:
            file.close()
            raise
        file.close()


def _wait(file: TextIO, what: str) -> bool:
    """By looking again and again: polars has the kernel resume waits that a signal interrupts.

    Says for whom as soon as that one, which may have come just now, has written its name.
    """
    holder = ""
    while not taken(file):
        if not holder:
            file.seek(0)
            holder = file.read()
            if holder:
                print(f"{what} waits for {holder}", flush=True)
        time.sleep(POLL)
    return True


def taken(file: TextIO) -> bool:
    """Whether the lock on an open file is held by it now; InputError where there are no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"{Path(file.name).parent}: files cannot be locked there ({error.strerror}); name a"
            " folder of another file system: artifacts=DIR submissions=DIR"
        ) from None
    return True


def _still(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
