"""Write an artifact: it appears complete and with a record, or not at all.

It is written under a hidden name and renamed once, so a folder that can be seen is complete, and to
run again is to resume. `artifact.json` in it is its record: settings, inputs, sha256 of every file,
the code and the machine that made it.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.store.atomic import atomic_folder, remove_leftovers
from features.store.hashing import sha256
from pipeline.artifacts.provenance import PACKAGES, code, commit, peak_mib
from pipeline.artifacts.spec import RECORD, ArtifactSpec, canonical


class ArtifactWriter:
    """The hidden folder in which an artifact is written."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self.state = state  # ArtifactSpec.state
        self.report: dict[str, Any] = {}  # what may differ between equal runs: seconds, curves

    def __truediv__(self, name: str) -> Path:
        return self.path / name


@contextlib.contextmanager
def write_artifact(spec: ArtifactSpec) -> Iterator[ArtifactWriter]:
    """Yield a hidden folder that becomes `spec.path` in one rename.

    If the body raises, the hidden folder is removed and nothing appears. An artifact that is
    already there (--force, or a second run that was quicker) is replaced as a whole.
    """
    spec.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(spec.folder)
    _remove_states(spec.folder)
    started = time.perf_counter()
    with atomic_folder(spec.path) as scratch:
        writer = ArtifactWriter(scratch, spec.state)
        yield writer
        _write_record(spec, writer, time.perf_counter() - started)
    spec.state.unlink(missing_ok=True)


def _write_record(spec: ArtifactSpec, writer: ArtifactWriter, seconds: float) -> None:
    scratch = writer.path
    files = {
        str(p.relative_to(scratch)): sha256(p) for p in sorted(scratch.rglob("*")) if p.is_file()
    }
    written = {
        "stage": spec.stage,
        "settings": spec.settings,
        "inputs": spec.inputs,
        "files": files,
        "digest": hashlib.sha256(canonical(files).encode()).hexdigest(),
        "bytes": {name: (scratch / name).stat().st_size for name in files},
        "report": writer.report,
        "seconds": round(seconds, 3),
        "made": datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "peak_mib": peak_mib(),
        "commit": commit(),
        "code": code(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    (scratch / RECORD).write_text(
        json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _remove_states(folder: Path) -> None:
    """Remove states of artifacts that are complete: a process was killed before it could."""
    for state in folder.glob(".*.state"):
        if (folder / state.name[1:]).with_suffix("").exists():
            state.unlink(missing_ok=True)
