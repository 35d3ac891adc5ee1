"""Where results lie and how they appear: named by what made them, complete or not there at all.

    artifacts/<profile>/<stage>/<name>-<hash of settings and of input bytes>/

A folder is filled under a hidden name and appears by one rename, so a folder that can be seen is
complete and running again is resuming. `artifact.json` in it holds the settings, the inputs and the
sha256 of every file; its digest (of those sha256 alone) is what the next stage's name is made from,
so that equal bytes upstream leave everything downstream in place.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.store.hashing import sha256
from pipeline.artifacts.provenance import HOST, PACKAGES, code, commit, peak_mib
from pipeline.artifacts.spec import RECORD, ArtifactSpec, canonical

LEAST_FREE = 1 << 16  # bytes: a disk with less is full, whatever the error says
SHORT_WRITE = (  # as polars, numpy and torch put it
    r"os error (27|28|122)\b|\d+ requested and \d+ written|unexpected pos \d+ vs \d+"
)


class ArtifactWriter:
    """The scratch folder of an artifact in the making."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self.state = state  # Place.state
        self.report: dict[str, Any] = {}  # what may differ between equal runs: seconds, curves

    def __truediv__(self, name: str) -> Path:
        return self.path / name


@contextlib.contextmanager
def write_artifact(place: ArtifactSpec) -> Iterator[ArtifactWriter]:
    """Yield a scratch folder that becomes `place.path` in one rename.

    If the body raises, the scratch folder goes and nothing appears. An artifact that is already
    there (--force, or a second run that was quicker) is replaced as a whole.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    _sweep(place.folder)
    scratch = place.folder / f".{place.path.name}.{HOST}.{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    started = time.perf_counter()
    try:
        publication = ArtifactWriter(scratch, place.state)
        yield publication
        _write_record(place, publication, time.perf_counter() - started)
        _flush(scratch)
        _appear(scratch, place.path)
        place.state.unlink(missing_ok=True)
    except BaseException as error:
        full = disk_full(error, place.folder)
        shutil.rmtree(scratch, ignore_errors=True)
        if full:
            raise InputError(f"{place.folder} {full}") from error
        raise


def _appear(scratch: Path, path: Path) -> None:
    """Rename `scratch` to `path`; what is there goes, whoever put it there."""
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


def replace_file(scratch: Path, path: Path) -> None:
    """Rename `scratch`, once the disk has it, to `path`, which is the old file or the whole new."""
    _sync(scratch)
    scratch.rename(path)
    _sync(path.parent)


def disk_full(error: BaseException, folder: Path) -> str:
    """What to say where `error` comes of a disk that takes no more; else nothing."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    told = isinstance(error, OSError) and error.errno in numbers
    free = shutil.disk_usage(folder).free
    if not isinstance(error, Exception) or not (
        told or free < LEAST_FREE or re.search(SHORT_WRITE, str(error))
    ):
        return ""
    return (
        f"takes no more: the disk is full or a limit is reached ({free} bytes are free); make space"
        " and run the same command again, what is finished is kept"
    )


def _write_record(place: ArtifactSpec, publication: ArtifactWriter, seconds: float) -> None:
    scratch = publication.path
    files = {
        str(p.relative_to(scratch)): sha256(p) for p in sorted(scratch.rglob("*")) if p.is_file()
    }
    written = {
        "stage": place.stage,
        "settings": place.settings,
        "inputs": place.inputs,
        "files": files,
        "digest": hashlib.sha256(canonical(files).encode()).hexdigest(),
        "bytes": {name: (scratch / name).stat().st_size for name in files},
        "report": publication.report,
        "seconds": round(seconds, 3),
        "peak_mib": peak_mib(),
        "commit": commit(),
        "code": code(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    (scratch / RECORD).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")


def _flush(folder: Path) -> None:
    """Hand everything to the disk before the rename makes it visible."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that were killed left in `folder`: scratch folders, and
    states of what is published."""
    for scratch in folder.glob(".*"):
        found = re.fullmatch(rf"\..+-[0-9a-f]{{8}}\.{re.escape(HOST)}\.(\d+)(\.old)?", scratch.name)
        if found and not _alive(int(found[1])):
            shutil.rmtree(scratch, ignore_errors=True)
        if scratch.suffix == ".state" and (folder / scratch.name[1:]).with_suffix("").exists():
            scratch.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True
