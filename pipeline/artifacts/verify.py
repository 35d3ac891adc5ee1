"""Compare the bytes of artifacts with the sha256 that were recorded when they were written.

A stage checks what it reads, once in its process: of an artifact the smallest files, up to AT_USE
bytes in all. Labels are the smallest columns of a store's rows; the challenge's whole store fits.
`run_all.sh --verify` checks every byte.
"""

from pathlib import Path
from typing import Any, NamedTuple

from features.errors import InputError
from features.store.hashing import sha256

AT_USE = 2**28  # bytes of an artifact: less than a second


class Checked(NamedTuple):
    """What was compared."""

    files: int
    bytes: int


class DamagedArtifact(InputError):
    """A file of an artifact has other bytes than those that were recorded."""


def verify(folder: Path, record: dict[str, Any], at_most: float = AT_USE) -> Checked:
    """Check the files of the artifact in `folder`, the smallest first, up to `at_most` bytes.

    Raises DamagedArtifact, which names the files and what to do.
    """
    n_bytes, names = 0, []
    for name, size in sorted(record["bytes"].items(), key=lambda item: (item[1], item[0])):
        if n_bytes + size > at_most:
            break
        n_bytes += size
        names.append(name)
    damaged = [name for name in names if sha256(folder / name) != record["files"][name]]
    if damaged:
        raise DamagedArtifact(
            f"{folder} is damaged: the sha256 of {', '.join(damaged)} differs from the one that was"
            " recorded when the folder was written; delete the folder and run the same command"
            " again, which makes it from its inputs"
        )
    return Checked(len(names), n_bytes)
