"""Finished runs, and one of them by its name.

A run's name is that of its submission's folder, <rules>-<hash>. `run` in manifest.json, the report,
the last line of a run and the leaderboard have the same one.
"""

import datetime
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD

LATEST = "latest"  # symbolic link in submissions/<profile>/, and a name that `find` takes
N_NEAREST = 3  # names that an error lists


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that reached 70_submit."""

    folder: Path  # submissions/<profile>/<name>
    record: dict[str, Any]  # artifact.json
    manifest: dict[str, Any]  # manifest.json

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def profile(self) -> str:
        return self.folder.parent.name

    @property
    def made(self) -> datetime.datetime:
        """When its submission was written, in local time."""
        return made(self.folder, self.record)

    @property
    def typed(self) -> str:
        """The command that repeats it."""
        older = " ".join(["./run_all.sh", self.profile, *self.manifest.get("overrides", [])])
        return str(self.manifest.get("typed", older))


def made(folder: Path, record: dict[str, Any]) -> datetime.datetime:
    """When the artifact in `folder` was written; of older versions, by the file's time."""
    if "made" in record:
        return datetime.datetime.fromisoformat(record["made"]).astimezone()
    return datetime.datetime.fromtimestamp((folder / RECORD).stat().st_mtime).astimezone()


def finished_runs(submissions: Path) -> list[FinishedRun]:
    """The runs whose submissions lie in `submissions`, the oldest first.

    A folder without artifact.json is no run: yours, or an older version's. Raises InputError where
    the records of a run cannot be read.
    """
    runs = [
        FinishedRun(path.parent, read_json(path), read_json(path.with_name("manifest.json")))
        for path in submissions.glob(f"[!.]*/[!.]*/{RECORD}")
        if not path.parent.is_symlink()
    ]
    return sorted(runs, key=lambda run: (run.made, run.name))


def find(submissions: Path, name: str) -> FinishedRun:
    """The run in `submissions` that `name` means.

    name   a run's name, or the beginning of one run's name or hash; `latest`; with PROFILE/ before
           it, of that profile alone, so that the path of its folder is a name too
    Raises InputError, which lists the nearest names, unless `name` means one run.
    """
    *folders, wanted = name.rstrip("/").split("/")
    runs = [run for run in finished_runs(submissions) if not folders or run.profile == folders[-1]]
    if wanted == LATEST and runs:
        return ended_last(runs)
    exact = [run for run in runs if run.name == wanted]
    begun = [
        run
        for run in runs
        if wanted and (run.name.startswith(wanted) or _hash(run).startswith(wanted))
    ]
    found = exact or begun
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{run.profile}/{run.name}" for run in found)
        raise InputError(f"{name!r} may be any of {several}: write more of the name")
    if not runs:
        where = "/".join([str(submissions), *folders[-1:]])
        raise InputError(f"no run {name!r}: {where} holds none yet; ./run_all.sh makes one")
    names = [run.name for run in reversed(runs)]
    nearest = difflib.get_close_matches(wanted, names, N_NEAREST, cutoff=0)
    raise InputError(f"no run {name!r} in {submissions}; the nearest: {', '.join(nearest)}")


def ended_last(runs: list[FinishedRun]) -> FinishedRun:
    """The run of the newest link `latest`, which every run renews; without one, the last made."""
    links = [folder / LATEST for folder in {run.folder.parent for run in runs}]
    newest = max(
        (link for link in links if link.is_symlink()),
        key=lambda link: link.lstat().st_mtime_ns,
        default=None,
    )
    ended = None if newest is None else newest.resolve()
    return next((run for run in runs if run.folder.resolve() == ended), runs[-1])


def _hash(run: FinishedRun) -> str:
    return run.name.rpartition("-")[2]
