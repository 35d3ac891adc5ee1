"""What the run cost: time and memory of every stage, and of every network's fits."""

from pipeline.reporting.blocks import Bar, Section, Table
from pipeline.reporting.formatting import duration, short_count, value_range
from pipeline.reporting.run import Run


def section(run: Run) -> Section:
    stages = stages_of(run)
    slowest = max(stages, key=lambda stage: stages[stage][0])
    total = sum(seconds for seconds, _ in stages.values())
    peak = max(mib for _, mib in stages.values())
    finding = (
        f"{duration(total)} of work, {stages[slowest][0] / max(total, 1e-9):.0%} of it in"
        f" {slowest}; the largest process used {peak / 1024:.1f} GiB. The times of fits that ran in"
        " parallel are added up."
    )
    return Section(
        title="Time and memory",
        look_for="the stage that takes most of the time, and networks that are slow for what they"
        " gain.",
        finding=finding,
        blocks=[_stages(stages), _fits(run)],
    )


def stages_of(run: Run) -> dict[str, tuple[float, int]]:
    """stage -> (seconds, peak MiB) in order; seconds are summed over all that a stage published."""
    return {
        stage: (sum(r["seconds"] for r in records), max(r["peak_mib"] for r in records))
        for stage, records in run.stages.items()
    }


def _stages(stages: dict[str, tuple[float, int]]) -> Table:
    longest = max(seconds for seconds, _ in stages.values()) or 1.0
    rows = [
        [stage, duration(seconds), f"{mib:,} MiB", Bar(seconds / longest)]
        for stage, (seconds, mib) in stages.items()
    ]
    return Table(["stage", "time", "peak memory", ""], rows)


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
        ])  # fmt: skip
    columns = ["", "fits", "epochs", "time per fit", "training", "peak memory", "device"]
    return Table(columns, rows)


def _device(report: dict) -> str:
    return " ".join(str(report[key]) for key in ("device", "precision") if key in report)
