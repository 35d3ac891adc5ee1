"""The run before this one on the same data: its scores beside ours, and which settings changed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.artifacts.json_files import read_json
from pipeline.config.settings import Settings
from pipeline.runs import differences, paired, results
from pipeline.runs.find import FinishedRun, finished_runs
from pipeline.runs.paired import PairedDifference
from pipeline.runs.results import Result

COMPARED = ("10_prepare", "50_train", "60_blend")  # stages whose results a comparison reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """An earlier run. What `runs clean` has removed of it leaves the later fields empty."""

    run: FinishedRun
    scores: dict = field(default_factory=dict)  # its scores.json
    valid: list[PairedDifference] = field(default_factory=list)  # this run less that one
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # that differ: ours, theirs


def previous(s: Settings, submission: Path) -> Previous | None:
    """The last run before that of `submission` on equal train, valid and test rows, if any.

    Raises InputError where the records of a run cannot be read.
    """
    runs = finished_runs(submission.parent.parent)
    this = next(run for run in runs if run.folder == submission)
    data = this.manifest.get("data")
    earlier = [run for run in runs[: runs.index(this)] if run.manifest.get("data") == data]
    if data is None or not earlier:
        return None
    other = earlier[-1]
    ours, theirs = (_stages(run, Path(s.artifacts)) for run in (this, other))
    reports = theirs.get("80_report", [])
    scores = read_json(reports[-1].path / "scores.json") if reports else {}
    if any(stage not in theirs for stage in COMPARED):
        return Previous(run=other, scores=scores)
    blends = theirs["60_blend"][0].path, ours["60_blend"][0].path
    return Previous(
        run=other,
        scores=scores,
        valid=list(paired.differences(*blends)),
        settings=_changed(differences.settings(ours), differences.settings(theirs)),
    )


def _changed(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ; of a network that one run alone has, `models` says enough."""
    alone = {*ours.get("models", ())} ^ {*theirs.get("models", ())}
    found = differences.differing(ours, theirs)
    return {key: pair for key, pair in found.items() if key.partition(".")[0] not in alone}


def _stages(run: FinishedRun, artifacts: Path) -> dict[str, list[Result]]:
    found = results.results(artifacts / run.profile)
    return results.by_stage(results.needed(run, results.index(found)))
