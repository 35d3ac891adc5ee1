"""report.html as a page: what it shows, leaves out, and never lets through."""

import dataclasses

import pytest

from pipeline.config import load as load_config
from pipeline.config.redact import without_secrets
from pipeline.reporting import report
from pipeline.reporting.run import Run
from pipeline.reporting.sections.headline import headline
from tests.helpers.page import Page, build
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
    two_points,
)


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
