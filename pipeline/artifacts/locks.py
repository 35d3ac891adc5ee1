"""One process at a time: the second one waits, and prints for whom.

So two runs in one folder never build one artifact twice, nor overwrite each other's row of the
leaderboard. The lock is the kernel's (flock, through filelock): it ends with the process that holds
it, however that ends, and a lock's file that is left behind blocks nobody. filelock does not know
who holds a lock, so the holder writes its name into the file.
"""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from features.errors import InputError

POLL = 0.1  # seconds between two attempts
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock that is the file `path`; yields whether another process held it before.

    `what` begins the line that names the process that we wait for. Raises InputError where files
    cannot be locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = file_lock(path)
    waited = _wait(lock, path, what)
    try:
        path.write_text(
            f"process {os.getpid()} on {socket.gethostname()}, at work since {time.strftime('%X')}",
            encoding="utf-8",
        )
        yield waited
    finally:
        path.unlink(missing_ok=True)  # while we hold it; who waits for this file takes a new one
        lock.release()


@contextlib.contextmanager
def try_locked(path: Path) -> Iterator[tuple[bool, str]]:
    """Hold the lock that is the file `path` if it is free; yields whether it is ours, or whose."""
    lock = file_lock(path)
    if not try_acquire(lock):
        yield False, _holder(path) or "another process"
        return
    try:
        yield True, ""
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def file_lock(path: Path) -> FileLock:
    """The lock that is the file `path`, not held yet."""
    return FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a killed process


def try_acquire(lock: FileLock) -> bool:
    """Whether the lock is ours now. Raises InputError where files cannot be locked."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise InputError(
            f"{Path(lock.lock_file).parent}: files cannot be locked there ({error.strerror}); name"
            " a folder of another file system: artifacts=DIR submissions=DIR"
        ) from None
    return True


def _wait(lock: FileLock, path: Path, what: str) -> bool:
    """Take the lock; prints its holder's name as soon as that is written. True if it was taken."""
    waited, holder = False, ""
    while not try_acquire(lock):
        waited = True
        if not holder:
            holder = _holder(path)
            if holder:
                print(f"{what} waits for {holder}", flush=True)
        time.sleep(POLL)
    return waited


def _holder(path: Path) -> str:
    """What the holder of a lock wrote into it; empty where it has not yet, or is gone."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return ""
