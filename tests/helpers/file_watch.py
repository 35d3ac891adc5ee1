"""Whether any process opens a file, by Linux's inotify."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

IN_OPEN = 0x20  # linux/inotify.h


@contextlib.contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """Yield a function: whether any process has opened `path` since it was last called."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0, os.strerror(ctypes.get_errno())
    assert libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN) >= 0, os.strerror(
        ctypes.get_errno()
    )

    def opened() -> bool:
        try:
            return bool(os.read(watch, 1 << 16))
        except BlockingIOError:  # nothing has happened
            return False

    try:
        yield opened
    finally:
        os.close(watch)
