"""A limit on memory, so that an allocation that is too large raises MemoryError where it happens.

Without the limit the kernel would kill a process of its own choice.
"""

import contextlib
import re
import resource
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """Bytes that this process may still allocate, by the machine and by its container."""
    free = _kib("/proc/meminfo", "MemAvailable")
    with contextlib.suppress(OSError, ValueError):  # no container, or no limit
        limit, used = (
            (CGROUP / f"memory.{name}").read_text(encoding="utf-8") for name in ("max", "current")
        )
        free = min(free, int(limit) - int(used))
    return max(free, 0)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """In the body, allocations beyond the memory that is available now fail."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _kib("/proc/self/status", "VmData") + available()
    if before[0] != resource.RLIM_INFINITY:
        limit = min(limit, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _kib(path: str, name: str) -> int:
    """The number of a line `name: N kB`, in bytes."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path(path).read_text(encoding="utf-8"))[1]) * 1024
