"""This run beside the one before it on the same data: scores, their differences, settings."""

from collections.abc import Sequence

from pipeline.config.redact import without_secrets
from pipeline.reporting.blocks import Block, Code, Note, Section, Table, Verdict
from pipeline.reporting.formatting import auc, gain, readable
from pipeline.reporting.previous import Previous
from pipeline.reporting.run import Run
from pipeline.reporting.scores import submitted_row
from pipeline.runs.paired import SUBMITTED, PairedDifference

COLUMNS = ("AUC", "this run", "other run", "difference")
FIGURES = {"cv": "CV", "valid": "official valid", "hidden": "hidden test"}


def section(run: Run) -> Section | None:
    previous = run.previous
    if previous is None:
        return None
    blocks: list[Block] = [
        Code("other run", without_secrets(previous.run.typed)),
        Table(COLUMNS, _rows(run, previous), sortable=False),
        Note(_note(previous)),
    ]
    if previous.settings:
        changed = [[key, *map(_value, pair)] for key, pair in previous.settings.items()]
        blocks.append(Table(["setting that differs", "this run", "other run"], changed))
    return Section(
        anchor="previous",
        title="Compared with the previous run",
        look_for="a difference whose interval leaves out 0, and the settings that explain it.",
        finding=_finding(previous),
        blocks=blocks,
    )


def _finding(previous: Previous) -> str:
    other = previous.run
    text = f"The run before this one on the same data is {other.name}, {other.made:%-d %B %Y}."
    ours = next((row for row in previous.valid if row.name == SUBMITTED), None)
    if ours is None:
        return f"{text} Its results have been removed: scores alone are left to compare."
    if ours.low == ours.high == 0:
        return f"{text} On official valid both submissions rank the rows alike."
    text += f" On official valid this submission has {ours.difference:+.5f} AUC against it"
    text += f" (95% {ours.low:+.5f} to {ours.high:+.5f})"
    return f"{text}." if ours.low > 0 or ours.high < 0 else f"{text}: they may be equal."


def _rows(run: Run, previous: Previous) -> list[list[str | Verdict]]:
    """What is submitted, then what both runs have, on official valid."""
    paired = {row.name: row for row in previous.valid}
    best, theirs = submitted_row(run.scores), _scores_of(previous)
    rows: list[list[str | Verdict]] = [["what is submitted"]]
    for key, title in FIGURES.items():
        interval = paired.pop(SUBMITTED, None) if key == "valid" else None
        if best[key] is not None or theirs.get(key) is not None:
            rows.append([title, *_cells(best[key], theirs.get(key), interval)])
    if paired:
        rows.append(["official valid"])
    for name, row in paired.items():
        rows.append([readable(name), *_cells(row.after, row.before, row)])
    return rows


def _scores_of(previous: Previous) -> dict:
    """The scores of the other submission; of a run without its report, those of its manifest."""
    return submitted_row(previous.scores) if previous.scores else previous.run.manifest


def _cells(
    ours: float | None, theirs: float | None, row: PairedDifference | None
) -> Sequence[str | Verdict]:
    if row is not None:
        text = gain([row.difference, row.low, row.high])
        clear = row.low > 0 or row.high < 0
        return [auc(ours), auc(theirs), Verdict(text, row.low > 0) if clear else text]
    known = ours is not None and theirs is not None
    return [auc(ours), auc(theirs), f"{ours - theirs:+.5f}" if known else "-"]


def _note(previous: Previous) -> str:
    covers = dict.fromkeys(row.covers for row in previous.valid)
    text = "CV is comparable where both runs have the same folds."
    if covers:
        text = f"Intervals: 95%, paired by row, over {'; or '.join(covers)}. {text}"
    return f"{text} The same in a terminal: python -m pipeline runs compare."


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
