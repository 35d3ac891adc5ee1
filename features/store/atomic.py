"""Write a file or a folder so that it appears complete, in one rename, or not at all.

It is written beside its place under a hidden name, flushed and renamed. The hidden name holds the
machine and the process, so that the leftovers of a killed process can be told from the work of a
living one.
"""

import contextlib
import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from features.errors import InputError

FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, or a limit
HOST = socket.gethostname()  # folders may be shared between machines
FULL_DISK = 1 << 16  # bytes: a disk with fewer free ones is full, whatever the error says
SHORT_WRITE = (  # as polars, numpy and torch put it
    r"os error (27|28|122)\b|\d+ requested and \d+ written|unexpected pos \d+ vs \d+"
)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside `path`; the file that the body writes there replaces `path`.

    If the body raises, nothing changes. Raises InputError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _removed_on_error(hidden_name(path)) as scratch:
        yield scratch
        replace_file(scratch, path)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside `path` that replaces it; otherwise as `atomic_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _removed_on_error(hidden_name(path)) as scratch:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        yield scratch
        for written in [*scratch.rglob("*"), scratch]:
            _flush(written)
        replace_folder(scratch, path)


def hidden_name(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}")


def replace_file(scratch: Path, path: Path) -> None:
    """Flush `scratch` and rename it to `path`; a crash leaves the old file or the new one."""
    _flush(scratch)
    scratch.rename(path)
    _flush(path.parent)


def replace_folder(scratch: Path, path: Path) -> None:
    """Rename `scratch` to `path`; a folder that is there goes, whoever wrote it."""
    old = scratch.with_name(f"{scratch.name}.old")
    while True:
        try:
            scratch.rename(path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            path.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder: it goes as a whole, in one rename, before its files do."""
    old = hidden_name(path).with_name(f"{hidden_name(path).name}.old")
    path.rename(old)
    shutil.rmtree(old)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this machine were writing in `folder`."""
    for scratch in folder.glob(".*"):
        name = re.fullmatch(rf"\..+\.{re.escape(HOST)}\.(\d+)(\.old)?", scratch.name)
        if name and not psutil.pid_exists(int(name[1])):
            _remove(scratch)


def disk_full(error: BaseException, folder: Path) -> str:
    """What to tell the user if `error` comes from a full disk or a limit; else nothing."""
    by_number = isinstance(error, OSError) and error.errno in FULL_ERRORS
    free = shutil.disk_usage(folder).free
    if not isinstance(error, Exception) or not (
        by_number or free < FULL_DISK or re.search(SHORT_WRITE, str(error))
    ):
        return ""
    return (
        f"cannot be written: the disk is full or a limit is reached ({free} bytes are free); make"
        " space and run the same command again; it keeps finished results"
    )


@contextlib.contextmanager
def _removed_on_error(scratch: Path) -> Iterator[Path]:
    try:
        yield scratch
    except BaseException as error:
        full = disk_full(error, scratch.parent)
        _remove(scratch)
        if full:
            raise InputError(f"{scratch.parent} {full}") from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
