"""An output that a user names is never one of the inputs."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from features.errors import InputError


def refuse_input(output: Path, inputs: Iterable[Path | None], option: str = "--out") -> None:
    """Raise InputError where `output`, which the user named with `option`, would replace an input.

    inputs  files and folders that are read; None and what is not there are passed over. An output
            is an input if its path, a symbolic link or a hard link leads to one, or into a folder
    """
    there = output.stat() if output.exists() else None
    for path in inputs:
        if path is None or not path.exists():
            continue
        within = output.resolve().is_relative_to(path.resolve())
        files = path.rglob("*") if path.is_dir() else [path]
        if within or (there and any(os.path.samestat(there, one.stat()) for one in _seen(files))):
            raise InputError(
                f"{option} {output} is {path}, or a part of it, which is read: it would be"
                " overwritten; name another"
            )


def _seen(files: Iterable[Path]) -> Iterator[Path]:
    """Those that are there: a link may lead nowhere."""
    return (path for path in files if path.exists())
