"""What the run cost: time and memory of every stage, and of every network's fits."""

import datetime
import math
from typing import NamedTuple

from pipeline.reporting.blocks import Bar, Note, Section, Table
from pipeline.reporting.formatting import duration, short_count, value_range
from pipeline.reporting.run import Run

NOTE = (
    "Work is added up over fits that ran side by side. What was kept of earlier runs counts with"
    " the time that it took then; the start of processes is left out."
)


def section(run: Run) -> Section:
    stages = stages_of(run)
    slowest = max(stages, key=lambda stage: stages[stage].work)
    total = sum(stage.work for stage in stages.values())
    peak = max(stage.peak_mib for stage in stages.values())
    clock = wall_seconds([record for records in run.stages.values() for record in records])
    finding = (
        f"{duration(total)} of work{f' in {duration(clock)} on the clock' if clock else ''},"
        f" {stages[slowest].work / max(total, 1e-9):.0%} of it in {slowest}; the largest process"
        f" used {peak / 1024:.1f} GiB."
    )
    return Section(
        anchor="cost",
        title="Time and memory",
        look_for="the stage that takes most of the time, and networks that are slow for what they"
        " gain.",
        finding=finding,
        blocks=[_stages(stages), Note(NOTE), _fits(run)],
    )


class Cost(NamedTuple):
    """What a stage took."""

    work: float  # seconds, the sum over all that it published
    clock: float | None  # seconds in which it worked; None where an older version did not note when
    peak_mib: int


def stages_of(run: Run) -> dict[str, Cost]:
    """What each stage took, in order."""
    return {
        stage: Cost(
            sum(record["seconds"] for record in records),
            wall_seconds(records),
            max(record["peak_mib"] for record in records),
        )
        for stage, records in run.stages.items()
    }


def wall_seconds(records: list[dict]) -> float | None:
    """Length of the union of the spans in which these artifacts were made, seconds.

    None where one of the records, of an older version, does not say when.
    """
    if not all("made" in record for record in records):
        return None
    ends = [datetime.datetime.fromisoformat(record["made"]).timestamp() for record in records]
    spans = sorted(
        (end - record["seconds"], end) for end, record in zip(ends, records, strict=True)
    )
    covered, reached = 0.0, -math.inf
    for start, end in spans:
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _stages(stages: dict[str, Cost]) -> Table:
    longest = max(stage.work for stage in stages.values()) or 1.0
    rows = [
        [
            name,
            duration(stage.work),
            "-" if stage.clock is None else duration(stage.clock),
            f"{stage.peak_mib:,} MiB",
            Bar(stage.work / longest),
        ]
        for name, stage in stages.items()
    ]
    return Table(["stage", "work", "wall time", "peak memory", ""], rows)


def _fits(run: Run) -> Table:
    rows = []
    for model in run.models:
        records = [record for (m, _, _), record in run.fits.items() if m == model]
        reports, n = [record["report"] for record in records], len(records)
        rows.append([
            model,
            n,
            value_range([len(report["epochs"]) for report in reports]),
            duration(sum(record["seconds"] for record in records) / n),
            f"{short_count(sum(report['rows_per_second'] for report in reports) // n)} rows/s",
            f"{max(record['peak_mib'] for record in records):,} MiB",
            ", ".join(sorted({_device(report) for report in reports})),
            _prefixes(reports),
        ])  # fmt: skip
    columns = ["", "fits", "epochs", "time per fit", "training", "peak memory", "device"]
    if any(row[-1] for row in rows):
        return Table([*columns, "rows of prefixes"], rows)
    return Table(columns, [row[:-1] for row in rows])


def _prefixes(reports: list[dict]) -> str:
    """How many of the rows that fits were trained on are prefixes of histories."""
    n = sum(report.get("prefix_rows", 0) for report in reports)
    return f"{n / sum(report['rows'] for report in reports):.0%}" if n else ""


def _device(report: dict) -> str:
    return " ".join(str(report[key]) for key in ("device", "precision") if key in report)
