"""The tables of a data set as one Markdown text and as one HTML page that fetches nothing."""

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.fields import differences, tables
from bench.fields.settings import Published
from bench.fields.tables import Scores
from bench.tools.output import table_header, table_row
from features.store.atomic import atomic_file
from pipeline.artifacts import provenance
from pipeline.reporting import report
from pipeline.reporting.blocks import Code, Headline, Section, Table, Tile
from pipeline.runtime import usage

GLOSSARY = {
    "95 %": "Interval of the difference over rows of test and, with two seeds or more, trainings.",
    "AUC": "Area under the ROC curve on test.",
    "AUC, benchmark": "One run of BARS, seed 2021.",
    "AUC, paper": "Tables 1 and 2 of FINAL's paper, four digits.",
    "epochs, ours (best)": "Epochs of each seed's fit, and the one whose weights score test.",
    "lead over the next": "Mean AUC less that of the next network.",
    "seconds an epoch, ours": "Median over all epochs, with scoring; one thread a fit on a CPU.",
}


def write_tables(
    out: Path,
    title: str,
    notes: Sequence[str],
    scores: Mapping[str, Scores],
    label: np.ndarray,
    figures: Mapping[str, Published],
) -> str:
    """Write OUT.md and OUT.html; the text of the first. `notes` stand below the title.

    Shapes: label (N,) of test
    """
    sections = [
        *tables.sections(scores, figures),
        *differences.gains(scores, label, figures),
        *differences.order(scores, label),
    ]
    text = markdown(title, notes, sections)
    page = report.page(_headline(title, notes, scores), sections, GLOSSARY)
    for ending, content in ((".md", text), (".html", page)):
        with atomic_file(out.with_name(f"{out.name}{ending}")) as scratch:
            scratch.write_text(content, encoding="utf-8")
    return text


def markdown(title: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    """Sections of tables and notes as Markdown."""
    parts = [f"# {title}", *notes]
    for section in sections:
        parts += [f"## {section.title}", section.finding]
        parts += [_table(b) if isinstance(b, Table) else b.text for b in section.blocks]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    return "\n".join([table_header(table.columns), *map(table_row, table.rows)])


def _headline(title: str, notes: Sequence[str], scores: Mapping[str, Scores]) -> Headline:
    best = max(scores, key=lambda network: scores[network].auc)
    seeds = len(scores[best].reports)
    return Headline(
        title=title,
        summary="",
        tiles=[Tile("highest mean AUC of test", f"{scores[best].auc:.6f}", best)],
        made=f"{datetime.datetime.now(datetime.UTC):%-d %B %Y, %H:%M} UTC",
        codes=[Code("typed", shlex.join([*usage.command().split(), *sys.argv[1:]]))],
        meta=f"{len(scores)} networks, {seeds} seeds each; commit {provenance.commit()}",
        warnings=notes,
    )
