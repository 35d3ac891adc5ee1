"""Bytes on disk, of folders and of what runs share."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple


class Sizes(NamedTuple):
    """Bytes of the results of one run."""

    own: int  # of those that no other run needs
    all: int


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.lstat().st_size for one in files if one.is_symlink() or one.is_file())


def by_run(needs: Mapping[str, Iterable[Path]]) -> dict[str, Sizes]:
    """Sizes of runs, by the folders that each one needs."""
    folders = {run: {*paths} for run, paths in needs.items()}
    users = Counter(path for paths in folders.values() for path in paths)
    bytes_of = {path: size(path) for path in users}
    return {
        run: Sizes(
            own=sum(bytes_of[path] for path in paths if users[path] == 1),
            all=sum(bytes_of[path] for path in paths),
        )
        for run, paths in folders.items()
    }


def megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
