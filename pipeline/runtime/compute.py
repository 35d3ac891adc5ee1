"""How a process computes with torch: its threads, and the memory it keeps."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT_BYTES = 2**30  # of freed memory at the end of the heap


def prepare_training(threads: int) -> None:
    """Let this process train on the CPU: with `threads` threads, in memory that it keeps.

    By default glibc gives memory of more than 32 MiB back to Linux as soon as it is freed, and
    Linux clears every page when it is used again. A training step frees and takes gigabytes, so
    that this takes 28 % of QIN's time (bench/RESULTS.md, "Freed memory is kept"). Here such
    memory comes from the heap, which gives back what is free at its end beyond KEPT_BYTES. Peak
    memory grows until freed blocks fit what is taken, and stays there. Threads beside the main one
    may have heaps of their own, of 64 MiB, and gain nothing. Other C libraries stay as they are.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES)):
        if not libc.mallopt(option, value):
            raise OSError(f"mallopt({option}, {value}) was refused")


@contextmanager
def one_thread() -> Iterator[None]:
    """The context in which torch computes with one thread; as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
