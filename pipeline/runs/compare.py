"""Compare two runs: what was typed, settings and data that differ, and scores paired by row."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.runs import differences, paired, results
from pipeline.runs.find import FinishedRun
from pipeline.runs.results import Result

Stages = dict[str, list[Result]]


def lines(a: FinishedRun, b: FinishedRun, artifacts: Path) -> Iterator[str]:
    """The comparison, line by line; the scores take a moment.

    Raises InputError where results of a run are gone.
    """
    stages = [stages_of(run, artifacts) for run in (a, b)]
    for letter, run in zip("AB", (a, b), strict=True):
        yield f"{letter}  {run.name}  {run.made:%Y-%m-%d %H:%M}  {run.profile}"
        yield f"   {run.typed}"
    other = differences.differing(*(differences.files(one) for one in stages))
    same = ", ".join(name for name in differences.files(stages[0]) if name not in other)
    yield f"data    {_differ(list(other))}; equal: {same or 'no file'}"
    found = (differences.settings(one) for one in stages)
    yield from _table("settings", *differences.of_both(*found))
    yield from _table("made by", *(differences.made_by(one) for one in stages))
    if "valid" in other:
        yield "scores  not compared row by row: official valid differs"
        return
    yield from _scores(*(one["60_blend"][0].path for one in stages))


def stages_of(run: FinishedRun, artifacts: Path) -> Stages:
    """The results of a run by stage. Raises InputError where what a comparison reads is gone."""
    stages = results.of_run(run, artifacts)
    missing = [stage for stage in results.COMPARED if stage not in stages]
    if missing:
        raise InputError(
            f"{run.name}: its results of {', '.join(missing)} are not in {artifacts}: name their"
            f" folder, artifacts=DIR; or make them again: {run.typed}"
        )
    return stages


def _differ(names: list[str]) -> str:
    return f"{', '.join(names)} differ" if names else "the same"


def _table(title: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    found = differences.differing(a, b)
    if not found:
        yield f"{title}  the same"
        return
    width = max(len(name) for name in found)
    shown = [(name, _shown(first), _shown(second)) for name, (first, second) in found.items()]
    first_width = max(len("A"), *(len(first) for _, first, _ in shown))
    yield f"{title + ' that differ':<{width + 2}}  {'A':<{first_width}}  B"
    for name, first, second in shown:
        yield f"  {name:<{width}}  {first:<{first_width}}  {second}"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _scores(before: Path, after: Path) -> Iterator[str]:
    """The paired differences, B less A, below the noise that their intervals cover."""
    yield f"{'AUC on official valid':<24}{'A':>9}{'B':>10}{'B - A':>11}   95 % interval"
    notes: dict[str, str] = {}
    for row in paired.differences(before, after):
        note = notes.setdefault(row.covers, "*" * len(notes))
        interval = f"{row.low:+.5f} to {row.high:+.5f}"
        figures = f"{row.before:>9.5f}{row.after:>10.5f}{row.difference:>+11.5f}"
        yield f"  {row.name + note:<22}{figures}   {interval}"
    for covers, note in notes.items():
        yield f"{note + ' ' if note else ''}intervals over {covers}"
