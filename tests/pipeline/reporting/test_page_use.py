"""What a reader does with report.html: links, numbers to save, values to point at, copies."""

import re

import pytest

from pipeline.config import load as load_config
from pipeline.reporting import report
from pipeline.reporting.blocks import Drawing, Figure, Grid, Titled
from tests.helpers.page import build
from tests.helpers.report import MASK, PROBE, STUDY, run_of, two_points

FULL = {"studies": [STUDY], "probes": [PROBE], "masks": [MASK], "leaderboard": two_points()}


@pytest.fixture(scope="module")
def sections():
    """Of a run that has all of them but the previous one and slates."""
    return report.sections(run_of(**FULL))


@pytest.fixture(scope="module")
def document():
    return build(run_of(**FULL))


@pytest.fixture(scope="module")
def plain():
    """The page of a run with few sections."""
    return build(run_of())


def test_anchors_stay_when_sections_come_and_go(sections, document, plain):
    """They stand in links that people keep."""
    anchors = [section.anchor for section in sections]
    assert anchors == [
        "scores", "public", "learning-curves", "calibration", "history-length",
        "item-popularity", "blend", "tuning", "probes", "cost", "provenance", "glossary",
    ]  # fmt: skip
    fewer = re.findall(r'<section id="(.*?)">', plain)
    assert fewer == [a for a in anchors if a not in ("public", "tuning", "probes")]
    assert all(f'<section id="{anchor}">' in document for anchor in anchors)
    assert all(f'<a href="#{anchor}">' in document for anchor in anchors)


def test_the_numbers_behind_every_figure_can_be_saved(sections, document):
    for section in sections:
        assert bool(section.numbers) == has_drawing(section.blocks), section.title
        for numbers in section.numbers:
            assert all(len(row) == len(numbers.columns) for row in numbers.rows), numbers.name
            assert f'download="{numbers.name}.csv"' in document
    files = [numbers.name for section in sections for numbers in section.numbers]
    assert len(set(files)) == len(files)


def has_drawing(blocks) -> bool:
    inner = [b.blocks if isinstance(b, Grid | Titled) else [] for b in blocks]
    return any(
        isinstance(b.content, Drawing) if isinstance(b, Figure) else has_drawing(deeper)
        for b, deeper in zip(blocks, inner, strict=True)
    )


def test_figures_say_their_values_under_the_pointer(document):
    for text in (
        "hill climbing\nCV 0.88500 ± 0.01000\nfolds 0.87000, 0.89000\nofficial valid 0.87000",
        "epoch 2: AUC, training loss\nfold 0: 0.80000, 0.5000, kept",
        "trial 1: 0.80000, pruned",
        "sample/research-1: CV 0.89000, public 0.80000",
    ):
        assert f"<title>{text}" in document


def test_what_was_typed_and_the_file_stand_on_the_first_screen_to_be_copied(plain):
    first = plain[: plain.index("<nav>")]
    assert "sample/research-1, 2 January 2026, 03:04 UTC" in first
    assert "<code>./run_all.sh sample models=qin,din folds.n=2</code>" in first
    assert "<code>submissions/sample/research-1/submission.zip</code>" in first
    assert "not for the competition" in first
    assert "codabench" not in plain


def test_a_submission_for_the_competition_says_where_it_is_uploaded_and_what_follows():
    settings = load_config.load("microlens_1m", ["models=qin,din", "folds.n=2"])
    document = build(run_of(settings=settings))
    first = document[: document.index("<nav>")]
    assert "<span>upload</span> <span><code>submissions/sample/" in first
    assert 'href="https://www.codabench.org/competitions/5372/"' in first
    note = "python -m pipeline.80_report microlens_1m models=qin,din folds.n=2 --public 0."
    assert f"<code>{note}</code>" in first
