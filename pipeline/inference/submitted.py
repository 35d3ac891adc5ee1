"""The run behind a submission: the store, folds, fits and blender that it was made from.

manifest.json names these artifacts by their paths from its own folder. The digests that were
recorded when each was written must be those that 60_blend read: a run of which a part was built
again with other bytes would score otherwise than the submission.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.artifacts.verify import verify
from pipeline.graph import FitKey
from pipeline.runs.find import FinishedRun, find

MANIFEST = "manifest.json"
SUBMISSIONS = "submissions"  # where a name is looked for; elsewhere, type the path of the folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedRun:
    """A submission and the folders of its artifacts.

    name    by which the user called it
    folder  of the submission
    blend   blend.json: the figures of all blenders
    chosen  the blender that scores
    fits    of the models that this blender reads
    """

    name: str
    folder: Path
    blend: dict[str, Any]
    chosen: str
    store: Path
    folds: Path
    blend_folder: Path
    fits: Mapping[FitKey, Path]
    features: Path | None  # where one of these fits reads its columns

    @property
    def folders(self) -> tuple[Path, ...]:
        """Everything that is read."""
        single = self.folder, self.store, self.folds, self.blend_folder, self.features
        return *(folder for folder in single if folder is not None), *self.fits.values()


def open_run(name: str) -> SubmittedRun:
    """The run `name`, with the blender that it submitted.

    Raises InputError where the run is not there, is not complete, or cannot score new rows.
    """
    run = find_run(name)
    _refuse_external(name, run.manifest)
    try:
        places = run.manifest["artifacts"]
        blend_folder = _artifact(run, places["blend"])
        made_from = read_json(blend_folder / RECORD)["inputs"]
        blend = read_json(blend_folder / "blend.json")
        chosen = blend["chosen"]
        models = blend["blenders"][chosen]["models"]
        fits = {
            (fit["model"], fit["seed"], fit["fold"]): _artifact(
                run, fit["path"], made_from[_spec_name(fit)]
            )
            for fit in places["fits"]
            if fit["model"] in models
        }
        return SubmittedRun(
            name=name,
            folder=run.folder,
            blend=blend,
            chosen=chosen,
            store=_artifact(run, places["store"], made_from["store"]),
            folds=_artifact(run, places["folds"], made_from["folds"]),
            blend_folder=blend_folder,
            fits=fits,
            features=_features(run, fits.values()),
        )
    except (KeyError, TypeError) as error:
        command = f"python -m pipeline.70_submit {shlex.join([*_arguments(run), '--force'])}"
        raise InputError(
            f"{run.folder / MANIFEST} does not name all artifacts (no {error}): an earlier version"
            f" wrote it; write it again: {command}"
        ) from None


def find_run(name: str) -> FinishedRun:
    """A run by the path of its submission, or by its name. Raises InputError."""
    folder = Path(name).resolve()
    if (folder / MANIFEST).is_file():
        return FinishedRun(folder, read_json(folder / RECORD), read_json(folder / MANIFEST))
    run = find(Path(SUBMISSIONS), name)
    return replace(run, folder=run.folder.resolve())


def _refuse_external(name: str, manifest: Mapping[str, Any]) -> None:
    external = manifest.get("external")
    if external:
        raise InputError(
            f"{name} mixed {external['file']} into its scores, a file that scores the test rows"
            " and no others; submit without blend.external, and score with that run"
        )


def _artifact(run: FinishedRun, place: str, digest: str | None = None) -> Path:
    """The artifact at `place`, a path from the submission, with the `digest` that 60_blend read."""
    path = (run.folder / place).resolve()
    if not (path / RECORD).is_file():
        raise InputError(
            f"{path} is missing, which {run.name} was made from; make it again: {run.typed}"
        )
    record = read_json(path / RECORD)
    if digest is not None and record["digest"] != digest:
        raise InputError(
            f"{path} has other bytes than when {run.name} was made from it; run it again, and score"
            f" with the run that this prints: {run.typed}"
        )
    verify(path, record)
    return path


def _features(run: FinishedRun, fits: Iterable[Path]) -> Path | None:
    """The folder of 30_features, with the bytes that the fits with columns read."""
    read = {read_json(fit / RECORD)["inputs"].get("features") for fit in fits} - {None}
    folders = [_artifact(run, run.manifest["artifacts"]["features"], digest) for digest in read]
    return folders[0] if folders else None


def _arguments(run: FinishedRun) -> list[str]:
    """The profile and what was typed besides."""
    return shlex.split(run.typed)[1:]


def _spec_name(fit: Mapping[str, Any]) -> str:
    """The name of a fit among the inputs of 60_blend: that of its folder without the hash."""
    return Path(fit["path"]).name.rpartition("-")[0]
