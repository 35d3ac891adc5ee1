"""The list of runs: name, time, profile, scores, size on disk, and what was typed."""

from pathlib import Path

from pipeline.runs import board, results, sizes
from pipeline.runs.find import FinishedRun, finished_runs
from pipeline.runs.results import Result

SCORES = ("cv", "valid", "hidden", "public")
HEAD = f"{'run':<17} {'when':<16} {'profile':<13}" + "".join(f"{name:>8}" for name in SCORES)
NOTE = "of its results, MB that no other run needs, of MB in all; -: unknown, or removed"


def text(artifacts: Path, submissions: Path) -> str:
    """Two lines for every run, the oldest first."""
    runs = finished_runs(submissions)
    if not runs:
        return f"no runs in {submissions} yet; ./run_all.sh makes one"
    found = needs(runs, artifacts)
    used = {name: [result.path for result in all_of] for name, all_of in found.items()}
    bytes_of = sizes.by_run(used)
    noted = board.read(submissions / "leaderboard.csv").to_dicts()
    rows = {row["submission"]: row for row in noted}
    lines = [HEAD]
    for run in runs:
        row = rows.get(key(run), {})
        scores = {name: row.get(name) for name in SCORES}
        scores |= {name: run.manifest.get(name) for name in ("cv", "valid")}
        cells = "".join(_cell(scores[name]) for name in SCORES)
        lines.append(f"{run.name:<17} {run.made:%Y-%m-%d %H:%M} {run.profile:<13}{cells}")
        own, whole = bytes_of[key(run)]
        on_disk = f"{own / 1e6:,.1f} of {whole / 1e6:,.1f} MB" if used[key(run)] else "-"
        lines.append(f"    {on_disk}  {run.typed}")
    return "\n".join([*lines, NOTE])


def needs(runs: list[FinishedRun], artifacts: Path) -> dict[str, list[Result]]:
    """What each run needs, by `key`."""
    by_profile = {
        profile: results.index(results.results(artifacts / profile))
        for profile in {run.profile for run in runs}
    }
    return {key(run): results.needed(run, by_profile[run.profile]) for run in runs}


def key(run: FinishedRun) -> str:
    """The run's name behind its profile, as on the leaderboard."""
    return f"{run.profile}/{run.name}"


def _cell(score: float | None) -> str:
    return f"{'-':>8}" if score is None else f"{score:>8.5f}"
