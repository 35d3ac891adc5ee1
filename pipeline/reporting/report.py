"""report.html: one run on one page, for people. `build(run)` returns the document.

A file of sections/ for each section computes what it shows as plain data (blocks.py), drawing.py
makes its figures, templates/ turn all of it into HTML. A section with nothing to show is left out.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Headline, Section
from pipeline.reporting.run import Run
from pipeline.reporting.sections import (
    blend,
    calibration,
    cost,
    glossary,
    groups,
    headline,
    learning_curves,
    previous,
    probes,
    provenance,
    public,
    score_table,
    tuning,
    within_slates,
)

TEMPLATES = Path(__file__).with_name("templates")


def build(run: Run) -> str:
    """The HTML document of a run."""
    return page(headline.headline(run), sections(run), glossary.GLOSSARY)


def page(head: Headline, shown: Sequence[Section], meanings: Mapping[str, str]) -> str:
    """One HTML document, self-contained. Whatever is not a drawing is escaped.

    meanings  of the columns' heads, shown on them
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        headline=head,
        sections=shown,
        glossary=meanings,
        script=Markup(script),
        script_hash=hash_source(script),
    )


def hash_source(script: str) -> str:
    """What a content security policy calls the one script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def sections(run: Run) -> list[Section]:
    """In the order of the page."""
    with drawing.style():
        every = [
            score_table.section(run),
            within_slates.section(run),
            previous.section(run),
            public.section(run),
            learning_curves.section(run),
            calibration.section(run),
            groups.by_history_length(run),
            groups.by_item_popularity(run),
            blend.section(run),
            tuning.section(run),
            probes.section(run),
            cost.section(run),
            provenance.section(run),
        ]
    shown = [section for section in every if section is not None]
    return [*shown, glossary.section(shown)]
