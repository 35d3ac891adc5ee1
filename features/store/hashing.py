"""sha256 of files; a file that does not change is read once in a process."""

import functools
import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes, cached by path, inode, size and times of change.

    Anyone may set the time of modification; the time of change, st_ctime, is the kernel's.
    """
    stat = path.stat()
    return _sha256(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256(path: Path, *state: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
