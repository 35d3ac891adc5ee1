"""The run before this one on the same data: its scores beside ours, and which settings changed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.artifacts.json_files import read_json
from pipeline.config.settings import Settings
from pipeline.runs import differences, paired, results
from pipeline.runs.find import FinishedRun, finished_runs
from pipeline.runs.paired import PairedDifference


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
    ours, theirs = (results.of_run(run, Path(s.artifacts)) for run in (this, other))
    reports = theirs.get("80_report", [])
    scores = read_json(reports[-1].path / "scores.json") if reports else {}
    if any(stage not in theirs for stage in results.COMPARED):
        return Previous(run=other, scores=scores)
    settings = (differences.settings(stages) for stages in (ours, theirs))
    blends = theirs["60_blend"][0].path, ours["60_blend"][0].path
    return Previous(
        run=other,
        scores=scores,
        valid=list(paired.differences(*blends)),
        settings=differences.differing(*differences.of_both(*settings)),
    )
