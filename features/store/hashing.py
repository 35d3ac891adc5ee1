"""sha256 of files; a file that does not change is read once."""

import functools
import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes, cached by path, size and modification time."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
