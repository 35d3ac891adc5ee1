"""What the run cost: seconds and memory of every stage, and of every network's fits."""

from pipeline.reporting.page import Html, Section, bar, join, table
from pipeline.reporting.run import Run
from pipeline.reporting.wording import count, seconds, span


def section(run: Run) -> Section:
    stages = stages_of(run)
    slowest = max(stages, key=lambda stage: stages[stage][0])
    total = sum(spent for spent, _ in stages.values())
    peak = max(mib for _, mib in stages.values())
    said = (
        f"{seconds(total)} of work, {stages[slowest][0] / max(total, 1e-9):.0%} of it in {slowest};"
        f" the largest process held {peak / 1024:.1f} GiB. Fits that ran side by side are counted"
        " one by one."
    )
    return Section(title="Time and memory", said=said, body=join([_stages(stages), _fits(run)]))


def stages_of(run: Run) -> dict[str, tuple[float, int]]:
    """stage -> (seconds, peak MiB) in order; seconds are summed over all that a stage published."""
    return {
        stage: (sum(r["seconds"] for r in records), max(r["peak_mib"] for r in records))
        for stage, records in run.stages.items()
    }


def _stages(stages: dict[str, tuple[float, int]]) -> Html:
    longest = max(spent for spent, _ in stages.values()) or 1.0
    rows = [
        [stage, seconds(spent), f"{mib:,} MiB", bar(spent / longest)]
        for stage, (spent, mib) in stages.items()
    ]
    return table(["stage", "time", "peak memory", ""], rows)


def _fits(run: Run) -> Html:
    rows = []
    for model in run.models:
        mine = [record for (m, _, _), record in run.fits.items() if m == model]
        reports = [record["report"] for record in mine]
        rows.append([
            model,
            len(mine),
            span([len(report["epochs"]) for report in reports]),
            seconds(sum(record["seconds"] for record in mine) / len(mine)),
            f"{count(sum(r['rows_per_second'] for r in reports) // len(mine))} rows/s",
            f"{max(record['peak_mib'] for record in mine):,} MiB",
            ", ".join(sorted({_device(report) for report in reports})),
        ])  # fmt: skip
    columns = ["", "fits", "epochs", "time a fit", "training", "peak memory", "device"]
    return table(columns, rows)


def _device(report: dict) -> str:
    return " ".join(str(report[key]) for key in ("device", "precision") if key in report)
