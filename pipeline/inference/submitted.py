"""The run behind a submission: the store, folds, fits and blender that it was made from.

manifest.json names these artifacts by their paths from its own folder. The digests that were
recorded when each was written must be those that 60_blend read: a run of which a part was built
again with other bytes would score otherwise than the submission.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.artifacts.verify import verify
from pipeline.blending.predictions import FitKey
from pipeline.runs.find import find

MANIFEST = "manifest.json"
SUBMISSIONS = "submissions"  # where a name is looked for; elsewhere, type the path of the folder
AGAIN = "type the run's command again, which makes what is missing"


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

    @property
    def folders(self) -> tuple[Path, ...]:
        """Everything that is read."""
        return self.folder, self.store, self.folds, self.blend_folder, *self.fits.values()


def open_run(name: str, blender: str | None = None) -> SubmittedRun:
    """The run `name`, with the blender that it submitted, or another of its blenders.

    Raises InputError where the run is not there, is not complete, or cannot score new rows.
    """
    folder = folder_of(name)
    manifest = read_json(folder / MANIFEST)
    _refuse_external(name, manifest)
    try:
        places = manifest["artifacts"]
        blend_folder = _artifact(name, folder, places["blend"])
        made_from = read_json(blend_folder / RECORD)["inputs"]
        blend = read_json(blend_folder / "blend.json")
        store = _artifact(name, folder, places["store"], made_from["store"])
        folds = _artifact(name, folder, places["folds"], made_from["folds"])
        chosen = blender or blend["chosen"]
        models = blend["blenders"][chosen]["models"]
        fits = {}
        for fit in places["fits"]:
            if fit["model"] in models:
                digest = made_from[_spec_name(fit)]
                place = _artifact(name, folder, fit["path"], digest)
                fits[fit["model"], fit["seed"], fit["fold"]] = place
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / MANIFEST} names no artifacts to score rows with (no {error}); an earlier"
            " version wrote it: write it again with python -m pipeline.70_submit and --force"
        ) from None
    return SubmittedRun(
        name=name,
        folder=folder,
        blend=blend,
        chosen=chosen,
        store=store,
        folds=folds,
        blend_folder=blend_folder,
        fits=fits,
    )


def folder_of(name: str) -> Path:
    """The folder of a submission: by its path, or by the name of a run. Raises InputError."""
    folder = Path(name)
    if (folder / MANIFEST).is_file():
        return folder.resolve()
    return find(Path(SUBMISSIONS), name).folder.resolve()


def _refuse_external(name: str, manifest: Mapping[str, Any]) -> None:
    external = manifest.get("external")
    if external:
        raise InputError(
            f"{name} mixed {external['file']} into its scores, a file that scores the test rows"
            " and no others; submit without blend.external, and score with that run"
        )


def _artifact(name: str, folder: Path, place: str, digest: str | None = None) -> Path:
    """The artifact at `place`, a path from `folder`, with the `digest` that 60_blend read."""
    path = (folder / place).resolve()
    if not (path / RECORD).is_file():
        raise InputError(f"{path} is missing, which {name} was made from: {AGAIN}")
    record = read_json(path / RECORD)
    if digest is not None and record["digest"] != digest:
        raise InputError(
            f"{path} has other bytes than when {name} was made from it: {AGAIN}, and score with"
            " the submission that it prints"
        )
    verify(path, record)
    return path


def _spec_name(fit: Mapping[str, Any]) -> str:
    """The name of a fit among the inputs of 60_blend: that of its folder without the hash."""
    return Path(fit["path"]).name.rpartition("-")[0]
