"""A run's files in the challenge's schema: those of 00_data, or the challenge's own."""

import hashlib
from pathlib import Path

from features.errors import InputError
from features.settings import ChallengeSettings
from features.sources.registry import source_of
from features.store import schema
from features.store.hashing import sha256
from pipeline.artifacts.spec import ArtifactSpec, canonical, finished
from pipeline.config.settings import Settings


def data(s: Settings) -> ArtifactSpec | None:
    """00_data: the generated or converted folder; None where the files are the challenge's own."""
    named = source_of(s.data)
    if named is None:
        return None
    name, source = named
    files = enumerate(source.inputs(s.data))
    inputs = {f"{i}-{path.name}": sha256(path) for i, path in files}  # their order counts
    folder = Path(s.artifacts) / s.profile / "00_data"
    return ArtifactSpec("00_data", name, folder, source.content_settings(s.data), inputs)


def challenge_files(s: Settings) -> dict[str, Path]:
    """The files in the challenge's schema: those of 00_data, or the challenge's own."""
    if isinstance(s.data, ChallengeSettings):
        if not s.data.dir:
            raise InputError("data.dir is empty; name the folder of the files: data.dir=FOLDER")
        return schema.files(Path(s.data.dir), s.data.url)
    spec = data(s)
    assert spec is not None
    return schema.files(finished(spec) / "challenge")


def hidden_labels(s: Settings) -> Path | None:
    """The test labels, where they are known.

    80_report alone reads them; to name the report, `report` hashes the file's bytes.
    """
    spec = data(s)
    return None if spec is None else finished(spec) / "hidden_labels.parquet"


def data_hash(s: Settings) -> str:
    """Eight hex digits of the bytes of train, valid and test: scores of equal ones are compared."""
    files = challenge_files(s)
    rows = {name: sha256(path) for name, path in files.items() if name in schema.SPLITS}
    return hashlib.sha256(canonical(rows).encode()).hexdigest()[:8]
