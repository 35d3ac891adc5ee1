"""An artifact before it exists: its name (a hash of settings and input bytes) and its record.

    artifacts/<profile>/<stage>/<name>-<hash of settings and of input bytes>/

`artifact.json` in the folder holds the settings, the inputs and the sha256 of every file. Its
digest
(of those sha256 alone) names the next stage's artifacts, so equal bytes upstream leave everything
downstream in place.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import InputError

RECORD = "artifact.json"
OLD_RECORD = "artefact.json"  # of older versions, whose results are never read


class MissingArtifact(InputError):
    """An input that another stage writes is not there yet."""


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """A folder that a stage publishes, known by settings and inputs before it exists."""

    stage: str
    name: str
    folder: Path  # that holds it
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # name -> digest
    min_finished: int = 0  # trials that the `finished` of a study's report must reach

    @property
    def hash(self) -> str:
        known = {"settings": self.settings, "inputs": self.inputs}
        return hashlib.sha256(canonical(known).encode()).hexdigest()[:8]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}-{self.hash}"

    @property
    def lock(self) -> Path:
        """Held by the process that is making it; see pipeline.artifacts.locks."""
        return self.folder / f".{self.path.name}.lock"

    @property
    def state(self) -> Path:
        """How far the making is, for a process that goes on with it; gone when it is published."""
        return self.folder / f".{self.path.name}.state"

    @property
    def done(self) -> bool:
        """Whether the folder is there with every file at its recorded size, and grown enough."""
        try:
            found = record(self.path)
            sizes, finished = found["bytes"], found["report"].get("finished", 0)
            whole = all((self.path / f).stat().st_size == size for f, size in sizes.items())
            return whole and finished >= self.min_finished
        except (OSError, ValueError, KeyError):  # absent or damaged: to be made again
            return False


def require(place: ArtifactSpec) -> Path:
    """The folder of `place`, or say which stage would have written it."""
    if place.done:
        return place.path
    raise MissingArtifact(f"{place.path} is missing; it is written by pipeline.{place.stage}")


def digest(place: ArtifactSpec) -> str:
    """What the bytes of a finished artifact are known by."""
    return record(require(place))["digest"]


def record(path: Path) -> dict[str, Any]:
    """The record of the artifact in the folder `path`."""
    found: dict[str, Any] = json.loads((path / RECORD).read_text())
    return found


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
