"""report.html as a page: what it shows, leaves out, and never lets through."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import pytest

from pipeline.config import load as load_config
from pipeline.config.redact import without_secrets
from pipeline.reporting import report
from pipeline.reporting.blocks import Drawing, Figure, Grid, Titled
from pipeline.reporting.formatting import NBSP
from pipeline.reporting.run import Run
from pipeline.reporting.sections.headline import headline
from tests.helpers.report import (
    HOSTILE,
    MASK,
    MEASUREMENT,
    PASSED,
    PROBE,
    STUDY,
    fit_record,
    leaderboard_rows,
    run_of,
    run_with_slates,
    scored,
)


class Page(HTMLParser):
    """A parsed document. Raises where tags do not nest, or a browser would fetch or run something.

    Allowed are the page's own script, links within the page, files in the page to save, and links
    to other pages, which a browser follows on a click alone.
    """

    EMPTY = ("meta", "br", "img", "link", "input", "hr")
    ADDRESSES = ("src", "srcset", "href", "xlink:href", "data", "poster", "action", "background")
    RUN_OR_FETCH = ("fetch", "XMLHttpRequest", "WebSocket", "EventSource", "import", "sendBeacon")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.active: list[str] = []
        self.texts: list[str] = []  # as a browser shows or reads them out
        self.ids: list[str] = []
        self.policy = ""
        self.script = ""
        self.feed(document)
        self.close()
        assert self.open == []
        assert self.active == []
        assert "@import" not in document
        assert not re.search(r"url\((?!#)", document)
        assert not re.search("|".join(self.RUN_OR_FETCH), self.script)
        assert self.policy.startswith("default-src 'none';")
        digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in self.policy
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in ("link", "iframe", "img", "object", "embed", "base", "form", "video", "audio"):
            self.active.append(tag)
        if tag == "script" and (attributes or self.script):
            self.active.append(tag)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        links = [v for k, v in attributes.items() if k in self.ADDRESSES]
        self.active += [link for link in links if not self.is_harmless(tag, attributes, link)]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.active += [k for k in attributes if k.startswith("on")]
        self.texts += [v for k, v in attributes.items() if k == "aria-label"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    @staticmethod
    def is_harmless(tag: str, attributes: dict, link: str) -> bool:
        saved = link.startswith("data:text/csv;charset=utf-8,") and "download" in attributes
        return link.startswith("#") or (tag == "a" and (saved or link.startswith("https://")))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.script += data
        else:
            self.texts.append(data)


def build(run: Run) -> str:
    document = report.build(run)
    Page(document)
    return document.replace(NBSP, " ")


def titles(run: Run) -> list[str]:
    return [section.title for section in report.sections(run)]


def test_a_run_is_one_page_that_fetches_nothing_and_runs_its_own_script_alone():
    document = build(run_of())
    assert len(document) < 2_000_000
    assert "<h1>sample: hill climbing of qin and din</h1>" in document
    for text in ("blends: nested CV", "0.88500 ± 0.01000", "0.86000", "0.91000"):
        assert text in document


def test_equal_runs_give_equal_bytes():
    assert report.build(run_of()) == report.build(run_of())


def test_every_section_says_what_to_look_for():
    full = run_of(studies=[STUDY], probes=[PROBE], masks=[MASK], leaderboard=two_points())
    document, sections = build(full), report.sections(full)
    assert document.count('<p class="look-for">Look for ') == len(sections) == 12
    assert all(section.look_for.endswith(".") for section in sections)


def test_a_section_without_data_is_left_out():
    plain = titles(run_of())
    assert not {"Tuning", "Probes", "CV against public"} & set(plain)
    points = leaderboard_rows((0.88, 0.9), (0.89, 0.8), (0.90, 0.95))
    full = run_of(studies=[STUDY], probes=[PROBE], masks=[MASK], leaderboard=points)
    assert set(titles(full)) - set(plain) == {"Tuning", "Probes", "CV against public"}
    document = build(full)
    assert "item id alone reaches 0.7" in document
    assert "2 of 3 pairs" in document
    assert 'class="bad">FAIL' in document


def test_anchors_stay_when_sections_come_and_go():
    """They stand in links that people keep."""
    full = run_of(studies=[STUDY], probes=[PROBE], masks=[MASK], leaderboard=two_points())
    anchors = [section.anchor for section in report.sections(full)]
    assert anchors == [
        "scores", "public", "learning-curves", "calibration", "history-length",
        "item-popularity", "blend", "tuning", "probes", "cost", "provenance", "glossary",
    ]  # fmt: skip
    fewer = [section.anchor for section in report.sections(run_of())]
    assert fewer == [a for a in anchors if a not in ("public", "tuning", "probes")]
    document = build(full)
    assert all(f'<section id="{anchor}">' in document for anchor in anchors)
    assert all(f'<a href="#{anchor}">' in document for anchor in anchors)


def test_the_numbers_behind_every_figure_can_be_saved():
    full = run_of(studies=[STUDY], probes=[PROBE], masks=[MASK], leaderboard=two_points())
    document = build(full)
    for section in report.sections(full):
        assert bool(section.numbers) == has_drawing(section.blocks), section.title
        for numbers in section.numbers:
            assert all(len(row) == len(numbers.columns) for row in numbers.rows), numbers.name
            assert f'download="{numbers.name}.csv"' in document
    files = [numbers.name for section in report.sections(full) for numbers in section.numbers]
    assert len(set(files)) == len(files)


def has_drawing(blocks) -> bool:
    inner = [b.blocks if isinstance(b, Grid | Titled) else [] for b in blocks]
    return any(
        isinstance(b.content, Drawing) if isinstance(b, Figure) else has_drawing(deeper)
        for b, deeper in zip(blocks, inner, strict=True)
    )


def test_figures_say_their_values_under_the_pointer():
    document = build(run_of(studies=[STUDY], leaderboard=two_points()))
    for text in (
        "hill climbing\nCV 0.88500 ± 0.01000\nfolds 0.87000, 0.89000\nofficial valid 0.87000",
        "epoch 2: AUC, training loss\nfold 0: 0.80000, 0.5000, kept",
        "trial 1: 0.80000, pruned",
        "sample/research-1: CV 0.89000, public 0.80000",
    ):
        assert f"<title>{text}" in document


def test_what_was_typed_and_the_file_stand_on_the_first_screen_to_be_copied():
    document = build(run_of())
    first = document[: document.index("<nav>")]
    assert "sample/research-1, 2 January 2026, 03:04 UTC" in first
    assert "<code>./run_all.sh sample models=qin,din folds.n=2</code>" in first
    assert "<code>submissions/sample/research-1/submission.zip</code>" in first
    assert "not for the competition" in first
    assert "codabench" not in document


def test_a_submission_for_the_competition_says_where_it_is_uploaded_and_what_follows():
    settings = load_config.load("microlens_1m", ["models=qin,din", "folds.n=2"])
    document = build(run_of(settings=settings))
    first = document[: document.index("<nav>")]
    assert "<span>upload</span> <span><code>submissions/sample/" in first
    assert 'href="https://www.codabench.org/competitions/5372/"' in first
    note = "python -m pipeline.80_report microlens_1m models=qin,din folds.n=2 --public 0."
    assert f"<code>{note}</code>" in first


def two_points() -> list[dict]:
    return leaderboard_rows((0.88, 0.9), (0.89, 0.8))


def hostile_run() -> Run:
    """Every text that comes from files or the command line is hostile."""
    run = run_of()
    settings = dataclasses.replace(
        run.settings, profile=HOSTILE, profile_argument=HOSTILE, overrides=(HOSTILE,)
    )
    external = {"file": HOSTILE, "weight": 0.5}
    trials = [
        trial | {"origin": HOSTILE, "params": {HOSTILE: HOSTILE}} for trial in STUDY["trials"]
    ]
    record = fit_record() | {"commit": HOSTILE, "machine": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    finding = MEASUREMENT | {"name": HOSTILE, "column": HOSTILE, "text": HOSTILE}
    return dataclasses.replace(
        run,
        settings=settings,
        scores=run.scores | {"chosen_by": HOSTILE, "tuned": [HOSTILE]},
        blend=run.blend | {"external": external, "importances": {HOSTILE: 1.0}},
        submission=HOSTILE,
        manifest={"commit": HOSTILE},
        stages=run.stages | {HOSTILE: [record]},
        held_out=dataclasses.replace(run.held_out, name=HOSTILE),
        valid=dataclasses.replace(run.valid, name=HOSTILE),
        leaderboard=[row | {"submission": HOSTILE.replace("-", "~")} for row in two_points()],
        studies=[STUDY | {"study": HOSTILE, "trials": trials, "importances": {HOSTILE: 1.0}}],
        probes=[{"findings": [finding], "measured": [finding, finding | {"where": HOSTILE}]}],
        masks=[{"models": {HOSTILE: PASSED}}],
    )


def test_text_from_files_and_the_command_line_is_escaped_everywhere():
    document = report.build(hostile_run())
    page = Page(document)  # nothing in it runs or is fetched
    assert document.count("<script") == 1  # the page's own
    assert "<img" not in document
    shown = sum(text.count(HOSTILE) for text in page.texts)
    assert shown >= 30
    assert any(HOSTILE.replace("-", "~") in text for text in page.texts)  # in a drawing


def test_findings_and_failed_masks_stand_at_the_top():
    document = build(run_of(probes=[PROBE], masks=[MASK]))
    assert document.count('<p class="warning">') == 2
    assert document.index('<p class="warning">') < document.index("<nav>")
    silent = build(run_of(masks=[{"models": {"qin": PASSED}}]))
    assert "every network reads the history and no padding" in silent


def test_the_stackers_importances_are_shown_as_shares():
    run = run_of()
    importances = {f"column{i}": float(i) for i in range(30)}
    document = build(dataclasses.replace(run, blend=run.blend | {"importances": importances}))
    assert "column29" in document
    assert f"{29 / 435:.1%}" in document
    assert "18 others" in document


def test_one_network_of_the_official_split_has_no_cv_and_no_blend():
    figures = {"valid": 0.87}
    blend = {"models": {"qin": figures}, "chosen": "best_single"}
    blend["blenders"] = {"best_single": figures | {"weights": {"qin": 1.0}}}
    rows = [
        {"name": name, "cv": None, "sd": None, "valid": 0.87, "hidden": None}
        | {"slates": False, "cv_last": None}
        for name in ("qin", "best_single")
    ]
    run = run_of(
        settings=load_config.load("sample", ["models=qin", "rules=strict"]),
        blend=blend,
        scores={
            "rows": rows, "submitted": "best_single", "chosen_by": "official valid",
            "bayes": None, "bayes_slates": None, "tuned": ["qin"], "forecast": None,
            "without_slates": None, "within_slates": {"valid": None, "hidden": None},
        },
        fits={("qin", 0, -1): fit_record()},
        held_out=dataclasses.replace(scored(("qin",)), name="official valid"),
    )  # fmt: skip
    document = build(run)
    assert "<h1>sample: qin</h1>" in document
    assert "hidden test</t" not in document  # neither a tile nor a column
    assert "Bayes" not in document
    assert "The blend" not in titles(run)
    assert "Official valid is optimistic: it chose the epochs" in document
    assert "Official valid also chose the settings of qin: only the test" in document
    assert "<small>chose the network</small>" in document


def test_a_submission_that_compares_slates_says_so_and_shows_its_score_without_them():
    run = run_with_slates()
    document = build(run)
    assert "<h1>sample: slate mean of qin</h1>" in document
    alone = "hill_climbing 0.88500 CV, 0.87000 valid, 0.86000 hidden"
    assert f"score whole slates. Without slates: {alone}." in document
    notes = {tile.name: tile.note for tile in headline(run).tiles}
    assert notes["nested CV"] == "± 0.0100, chose the submission; 0.8850 without slates"
    assert notes["official valid"] == "0.8700 without slates"
    assert notes["hidden test"] == "0.8600 without slates"
    assert document.index("blends: nested CV") < document.index("blends compared within slates")
    assert "CV last" in document
    assert "0.93000" in document
    assert "Within slates" in titles(run)
    plain = run_of()
    assert not any("without slates" in tile.note for tile in headline(plain).tiles)
    assert "Within slates" not in titles(plain)
    assert "CV last" not in build(plain)


def test_the_tile_of_cv_says_that_it_chose():
    run = run_of()
    assert headline(run).tiles[0].note.endswith(", chose the submission")
    run = dataclasses.replace(run, scores=run.scores | {"chosen_by": "settings"})
    assert "chose" not in headline(run).tiles[0].note


def test_a_gain_is_shown_with_its_interval():
    run = run_of()
    run.blend["blenders"]["hill_climbing"]["valid_gain"] = [0.01, 0.002, 0.018]
    assert "+0.01000 (+0.00200 to +0.01800)" in build(run)


def test_the_forecast_stands_in_the_first_sentences():
    assert "scores 0.8700, 95 % between 0.8500 and 0.8900." in build(run_of())


def test_where_slates_are_drawn_together_both_best_scores_are_shown():
    known = run_of()
    document = build(dataclasses.replace(known, scores=known.scores | {"bayes_slates": 0.95}))
    assert "of the way from 0.5 (guessing) to Bayes with slates." in document
    assert document.count("0.95000") == 1
    assert "Bayes with slates" not in build(known)


def test_rows_without_both_classes_in_any_group_still_make_a_page():
    build(run_of(held_out=scored(("qin", "din"), n=60)))


@pytest.mark.parametrize("user", ["me", "me:secret", "me:se/cret", "me:s@cret"])
def test_a_password_in_an_override_is_not_shown(user):
    override = f"tune.storage=postgresql+psycopg://{user}@host/db"
    assert without_secrets(override) == "tune.storage=postgresql+psycopg://…@host/db"
    run = run_of()
    settings = dataclasses.replace(run.settings, overrides=(override,))
    run = dataclasses.replace(run, settings=settings)
    document = build(run)
    assert "cret" not in document
    assert "tune.storage=postgresql+psycopg://…@host/db" in document


def test_a_password_in_a_query_is_not_shown():
    override = "tune.storage=postgresql://host/db?password=secret&a=b"
    assert without_secrets(override) == "tune.storage=postgresql://host/db?password=…&a=b"
