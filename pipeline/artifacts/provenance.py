"""What made an artifact: commit, code, machine and the memory it took."""

import functools
import hashlib
import re
import resource
import subprocess
from pathlib import Path

from features.store.hashing import sha256
from pipeline.config.paths import REPOSITORY

CODE = ("pipeline", "features", "models", "cv", "submissions")
ENDINGS = ("py", "toml", "css", "js", "jinja")
PACKAGES = ("torch", "numpy", "polars", "pyarrow", "scikit-learn", "lightgbm")


def peak_mib() -> int:
    """Peak resident memory of this process so far, MiB.

    Read from /proc: psutil has no peak on Linux, and getrusage begins with the peak of the process
    that started this one.
    """
    return (peak_kib_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024


def peak_kib_of(pid: int | str) -> int:
    """Peak resident memory of a process so far, KiB; 0 where it has ended or Linux says none."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


@functools.lru_cache(maxsize=1)
def commit() -> str:
    """The git commit, `+` behind it where the code differs from it; "unknown" without git."""
    head = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--", *(f"{d}/*.{e}" for d in CODE for e in ENDINGS))
    return f"{head}{'+' if changed else ''}" if head else "unknown"


@functools.lru_cache(maxsize=1)
def code() -> str:
    """Eight hex digits that change with a byte of the code, committed or not."""
    digest = hashlib.sha256()
    for path in sorted(p for d in CODE for e in ENDINGS for p in (REPOSITORY / d).rglob(f"*.{e}")):
        digest.update(f"{path.relative_to(REPOSITORY)} {sha256(path)}\n".encode())
    return digest.hexdigest()[:8]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git on this machine: the commit is recorded as unknown
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
