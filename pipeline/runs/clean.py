"""Free disk: remove results in artifacts/ that no kept run needs.

Kept are the latest runs, the one that `latest` means and those that are named, with all that they
were made from. What else is there belongs to other runs or to none: results of earlier settings,
states of fits that were given up. Results of no finished run that are newer than the last one stay,
since a run that was stopped would resume from them. Submissions (zip, manifest, report), the
leaderboard and the studies of 40_tune always stay.

A result is renamed to a hidden name before its files go, the last stages first, so that whenever
this is stopped, what can be seen is complete; the next run or cleaning removes the rest.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError
from features.store.atomic import remove_folder, remove_leftovers
from pipeline import graph
from pipeline.artifacts import locks
from pipeline.artifacts.spec import OLD_RECORD, RECORD
from pipeline.runs import listing, sizes
from pipeline.runs.find import FinishedRun, ended_last, finished_runs, made
from pipeline.runs.results import readable_record

STAGES = tuple(stage for stage in graph.STAGES if stage not in ("40_tune", "70_submit"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What cleaning would do."""

    kept: list[FinishedRun]
    remove: list[Path]  # results and states, the last stages first
    stay: list[Path]  # newer than the last run, and of none


def plan(artifacts: Path, submissions: Path, keep: int, also: Sequence[FinishedRun]) -> Plan:
    """Keep the `keep` latest runs of `submissions`, the one that `latest` means, those in `also`.

    A run whose public score is noted becomes `latest` again, however old it is.

    Raises InputError where there are no runs, or the record of one cannot be read.
    """
    runs = finished_runs(submissions)
    if not runs:
        raise InputError(f"no runs in {submissions}: which results to keep is not known")
    named = {run.folder for run in (*also, ended_last(runs))}
    kept = [run for run in runs if run in runs[-keep:] or run.folder in named]
    needs = listing.needs(runs, artifacts)
    of_kept = {result.path for run in kept for result in needs[listing.key(run)]}
    of_any = {result.path for found in needs.values() for result in found}
    remove: list[Path] = []
    stay: list[Path] = []
    for path, written in candidates(artifacts):
        if path in of_kept:
            continue
        newer = path not in of_any and written > runs[-1].made
        (stay if newer else remove).append(path)
    return Plan(kept, sorted(remove, key=_last_stage_first), stay)


def candidates(artifacts: Path) -> Iterator[tuple[Path, datetime.datetime]]:
    """Results and states of fits in `artifacts`, and when they were written; nothing else.

    Not links, which may lead out of the folder.
    """
    for stage in (path for name in STAGES for path in artifacts.glob(f"[!.]*/{name}")):
        for path in sorted(stage.glob("[!.]*")) + sorted(stage.glob(".*.state")):
            if path.is_symlink():
                continue
            if (path / RECORD).is_file():
                yield path, made(path, readable_record(path) or {})
            elif (path / OLD_RECORD).is_file() or path.name.startswith("."):
                yield path, datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def refuse_at_work(artifacts: Path) -> None:
    """Raise InputError where a process holds the lock of a result in `artifacts`."""
    for path in sorted(artifacts.glob("[!.]*/[!.]*/.*.lock")):
        with locks.try_locked(path) as (ours, holder):
            if not ours:
                raise InputError(
                    f"{holder} makes {path.parent / path.stem[1:]}: wait until it has ended, then"
                    " clean"
                )


def remove(paths: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Remove results and states; yields each one that is gone, and the bytes that this freed."""
    for folder in {path.parent for path in paths}:
        remove_leftovers(folder)
    for path in paths:
        with locks.try_locked(_lock(path)) as (ours, _):
            if ours:
                n_bytes = sizes.size(path)
                remove_folder(path) if path.is_dir() else path.unlink()
                yield path, n_bytes


def _lock(path: Path) -> Path:
    """The lock of a result, or of the result that a state belongs to."""
    if path.suffix == ".state":
        return path.with_suffix(".lock")
    return path.with_name(f".{path.name}.lock")


def _last_stage_first(path: Path) -> tuple[int, Path]:
    return -STAGES.index(path.parent.name), path
