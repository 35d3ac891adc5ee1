"""report.html: one run on one page, for people. `build(run)` returns the document.

A file a section, each with what it says, shows and computes; run.py reads the artifacts, drawing.py
makes figures, page.py makes HTML. A section that has nothing to show is left out.
"""

from pipeline.reporting.page import Html, Section, join, markup, page
from pipeline.reporting.run import Run
from pipeline.reporting.sections import (
    blends,
    calibration,
    cost,
    groups,
    learning_curves,
    probes,
    provenance,
    public,
    score_table,
    tuning,
)
from pipeline.reporting.sections.headline import headline, title


def build(run: Run) -> str:
    """The HTML document, self-contained."""
    warnings = [Html(f'<p class="warning">{markup(said)}</p>') for said in probes.warnings(run)]
    return page(title(run), join([headline(run), *warnings]), sections(run))


def sections(run: Run) -> list[Section]:
    """In the order of the page."""
    made = [
        score_table.section(run),
        public.section(run),
        learning_curves.section(run),
        calibration.section(run),
        *groups.sections(run),
        blends.section(run),
        tuning.section(run),
        probes.section(run),
        cost.section(run),
        provenance.section(run),
    ]
    return [section for section in made if section is not None]
