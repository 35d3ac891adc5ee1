"""An artifact before it exists: its name (a hash of settings and input bytes) and its record.

    artifacts/<profile>/<stage>/<name>-<hash of settings and of input bytes>/

`artifact.json` in the folder holds the settings, the inputs and the sha256 of every file. Its
digest, of those sha256 alone, enters the names of the next stage's artifacts, so equal bytes
upstream leave everything downstream in place.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.artifacts.verify import verify

RECORD = "artifact.json"
OLD_RECORD = "artefact.json"  # of older versions, whose results are never read


class MissingArtifact(InputError):
    """An input that another stage writes is not there yet."""


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """A folder that a stage writes; settings and inputs name it before it exists."""

    stage: str
    name: str
    folder: Path  # in which it lies
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # name -> digest
    min_finished: int = 0  # trials that the `finished` of a study's report must reach

    @property
    def hash(self) -> str:
        made_from = {"settings": self.settings, "inputs": self.inputs}
        return hashlib.sha256(canonical(made_from).encode()).hexdigest()[:8]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}-{self.hash}"

    @property
    def lock(self) -> Path:
        """The file that the process which builds it locks; see locks.py."""
        return self.folder / f".{self.path.name}.lock"

    @property
    def state(self) -> Path:
        """The file from which a stopped build resumes; removed when the artifact is complete."""
        return self.folder / f".{self.path.name}.state"

    @property
    def done(self) -> bool:
        """Whether the folder is there, every file has its recorded size, and enough is finished."""
        try:
            written = record(self.path)
            sizes, finished = written["bytes"], written["report"].get("finished", 0)
            complete = all((self.path / f).stat().st_size == size for f, size in sizes.items())
            return complete and finished >= self.min_finished
        except (OSError, ValueError, KeyError):  # absent, damaged, or of an older version
            return False


def finished(spec: ArtifactSpec) -> Path:
    """The folder of a finished artifact. Raises MissingArtifact, which names the stage to run."""
    if spec.done:
        return spec.path
    raise MissingArtifact(
        f"{spec.path} is missing; it is written by: python -m pipeline.{spec.stage}, with the"
        " PROFILE and the key=value of this command"
    )


def require(spec: ArtifactSpec) -> Path:
    """As `finished`, to read its files: those that are checked at use have the recorded sha256."""
    path = finished(spec)
    verify(path, record(path))
    return path


def digest(spec: ArtifactSpec) -> str:
    """One sha256 for all files of a finished artifact."""
    return record(finished(spec))["digest"]


def record(path: Path) -> dict[str, Any]:
    """The record of the artifact in the folder `path`."""
    content: dict[str, Any] = json.loads((path / RECORD).read_text(encoding="utf-8"))
    return content


def refuse_old_record(folder: Path) -> None:
    """Raise InputError where `folder` is a result of an older version."""
    if (folder / OLD_RECORD).exists() and not (folder / RECORD).exists():
        raise InputError(
            f"{folder} is a result of an older version ({OLD_RECORD} in it; expected {RECORD}):"
            " it is not read; run the stages again, and give the folder that they write"
        )


def canonical(value: Any) -> str:
    """JSON that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
