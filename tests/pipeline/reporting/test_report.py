"""report.html: figures' data, drawings, the page."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from cv.auc import auc
from cv.calibration import log_loss, reliability
from pipeline import reporting
from pipeline.config import load as load_config
from pipeline.config.redact import without_secrets
from pipeline.reporting import drawing
from pipeline.reporting.page import Html, markup, table
from pipeline.reporting.run import SHIPPED, Run, Scored
from pipeline.reporting.sections import (
    blends,
    calibration,
    groups,
    learning_curves,
    probes,
    public,
    tuning,
)

HOSTILE = '<script>alert("x")</script>'


def scored(models: tuple[str, ...], n: int = 600, seed: int = 0) -> Scored:
    """Rows whose labels were drawn from the first model's own probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1.5, n)
    noise = {model: i * rng.normal(0, 0.7, n) for i, model in enumerate(models)}
    return Scored(
        what="out-of-fold rows",
        label=(rng.random(n) < expit(truth)).astype(np.uint8),
        logits={model: truth + extra for model, extra in noise.items()},
        history=rng.integers(0, 40, n),
        shows=rng.geometric(0.02, n) - 1,
    )


def record(**report) -> dict:
    """The artifact.json of a fit."""
    epochs = [{"loss": 0.6 - 0.1 * i, "score": s} for i, s in enumerate((0.7, 0.8, 0.79))]
    network = dataclasses.asdict(load_config.load("sample", []).networks["qin"])
    return {
        "settings": {"network": network},
        "report": {
            "best_epoch": 2, "epochs": epochs, "rows_per_second": 12345, "device": "cpu", **report,
        },
        "seconds": 3.5, "peak_mib": 500, "commit": "abc", "machine": "m", "python": "3",
        "versions": {"numpy": "2"},
    }  # fmt: skip


def made_run(**changed) -> Run:
    judged = {"cv": 0.88, "sd": 0.01, "folds": [0.87, 0.89], "valid": 0.87}
    single = judged | {"weights": {"qin": 1.0, "din": 0.0}}
    mean = judged | {"cv": 0.885, "weights": {"qin": 0.7, "din": 0.3}}
    models = {"qin": judged, "din": judged | {"cv": 0.85, "folds": [0.85, 0.85]}}
    blenders = {"best_single": single, "hill_climbing": mean}
    rows = [
        {"name": name, "cv": r["cv"], "sd": r["sd"], "valid": r["valid"], "hidden": 0.86}
        for name, r in (models | blenders).items()
    ]
    fits = {(model, 0, fold): record() for model in models for fold in (0, 1)}
    given = {
        "settings": load_config.load("sample", ["models=qin,din", "folds.n=2"]),
        "judged": {
            "rows": rows, "shipped": "hill_climbing", "chosen_by": "nested CV", "bayes": 0.91,
            "tuned": [],
        },
        "blend": {"models": models, "blenders": blenders, "chosen": "hill_climbing"},
        "submission": "sample/research-1",
        "manifest": {"commit": "abc"},
        "fits": fits,
        "stages": {"10_prepare": [record()], "50_train": list(fits.values())},
        "held": scored(("qin", "din")),
        "valid": scored((SHIPPED,), seed=1),
        "board": [], "tuning": [], "probes": [], "masks": [],
    }  # fmt: skip
    return Run(**given | changed)


TUNE = {
    "study": f"qin {HOSTILE}",
    "users": 0.2,
    "trials": [
        {"number": 0, "state": "COMPLETE", "value": 0.86, "params": {"fit.learning_rate": 1e-3},
         "fold_aucs": [0.85, 0.87], "seconds": 70.0},
        {"number": 1, "state": "PRUNED", "value": 0.8, "params": {"fit.learning_rate": 0.1}},
        {"number": 2, "state": "COMPLETE", "value": 0.87, "params": {"qnn.layers": 3},
         "fold_aucs": [0.86, 0.88], "seconds": 90.0},
        {"number": 3, "state": "FAIL", "value": None, "params": {}},
    ],
    "importances": {"fit.learning_rate": 0.9, "qnn.layers": 0.1},
}  # fmt: skip
READING = {
    "name": "item_id", "column": "item_id", "where": "train", "figure": 0.7, "low": 0.69,
    "high": 0.71, "threshold": 0.6,
}  # fmt: skip
PROBE = {
    "findings": [READING | {"text": f"item id alone reaches 0.7 {HOSTILE}"}],
    "measured": [READING, READING | {"name": "level", "column": HOSTILE, "threshold": None}],
}
WORTH = {"auc": 0.88, "auc_shuffled": 0.8, "gain": 0.08, "low": 0.07, "high": 0.09, "helps": True}
GOOD = {"padding": {"passed": True}, "history": {"passed": True}, "shuffled": WORTH}
MASK = {"rows": 600, "models": {"qin": GOOD, "din": GOOD | {"padding": {"passed": False}}}}


def board(*scores: tuple[str, float]) -> list[dict]:
    return [
        {"submission": f"sample/research-{i}", "CV ± sd": cv, "public": f"{value:.5f}"}
        for i, (cv, value) in enumerate(scores)
    ]


# --- figures' data


def test_log_loss_is_the_mean_negative_log_likelihood():
    rows = scored(("a",))
    expected = metrics.log_loss(rows.label, expit(rows.logits["a"]))
    assert log_loss(rows.label, rows.logits["a"]) == pytest.approx(expected, abs=1e-12)
    assert log_loss(np.array([0, 1]), np.array([-800.0, 800.0])) == 0
    assert log_loss(np.array([1]), np.array([-800.0])) == 800


def test_reliability_bins_are_what_their_rows_say():
    rows = scored(("a",), n=1000)
    logit, p = rows.logits["a"], expit(rows.logits["a"])
    bins = reliability(rows.label, logit, n_bins=10)
    assert bins.count.tolist() == [100] * 10
    order, gaps = np.argsort(logit), []
    for k, part in enumerate(np.split(order, 10)):
        assert bins.predicted[k] == pytest.approx(p[part].mean())
        assert bins.observed[k] == pytest.approx(rows.label[part].mean())
        gaps.append(abs(p[part].mean() - rows.label[part].mean()))
    assert bins.ece == pytest.approx(np.mean(gaps))


def test_equal_logits_share_a_bin_and_a_constant_has_one():
    bins = reliability(np.array([0, 1, 1, 1]), np.zeros(4))
    assert (bins.count.tolist(), bins.observed.tolist(), bins.ece) == ([4], [0.75], 0.25)
    assert np.isnan(bins.slope)


@pytest.mark.parametrize(
    ("change", "said", "slope"),
    [
        (lambda z: z, "as observed", 1),
        (lambda z: z + 1, "too high", 1),
        (lambda z: z - 1, "too low", 1),
        (lambda z: 2 * z, "too extreme", 0.5),
        (lambda z: z / 2, "too timid", 2),
    ],
)
def test_the_tendency_of_probabilities_is_named(change, said, slope):
    z = np.random.default_rng(0).normal(0, 1.5, 400_000)
    label = np.random.default_rng(1).random(len(z)) < expit(z)
    bins = reliability(label, change(z))
    assert calibration.tendency(bins) == said
    assert bins.slope == pytest.approx(slope, rel=0.03)


def test_a_histogram_loses_no_row():
    rows = scored(("a",))
    _, shares = calibration.histogram(rows.label, rows.logits["a"], (-0.5, 0.5))
    np.testing.assert_allclose(shares.sum(1), 1)
    outside = rows.logits["a"][rows.label == 1] >= 0.5
    assert shares[1, -1] >= outside.mean()


def test_groups_hold_every_row_once_and_zero_is_one_of_its_own():
    values = np.array([0, 0, 3, 3, 4, 9, 12, 2000, 3_600_000])
    made = groups.groups_of(values, n_groups=3)
    assert made.names == ["0", "3", "4–9", "≥ 12"]
    assert made.of_row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert groups.groups_of(np.full(5, 7)).names == ["7"]
    assert groups.groups_of(np.zeros(5, int)).names == ["0"]


def test_the_auc_of_a_group_is_that_of_its_rows_and_unknown_where_they_are_few():
    rows = scored(("a",), n=3000)
    made = groups.groups_of(rows.history)
    found = groups.auc_by(made, rows.label, rows.logits["a"])
    for g in range(len(made.names)):
        mine = made.of_row == g
        assert found.auc[g] == auc(rows.label[mine], rows.logits["a"][mine])
    few = groups.auc_by(
        groups.groups_of(np.r_[0, np.ones(99, int)]), rows.label[:100], np.ones(100)
    )
    assert np.isnan(few.auc).tolist() == [True, False]


def test_the_interval_is_the_one_that_was_published():
    """Hanley & McNeil 1982: an area of 0.893 from 51 and 58 cases has a standard error of 0.032."""
    error = groups.hanley_mcneil(np.array([0.893]), np.array([51]), np.array([58]))
    assert error[0] == pytest.approx(0.0325, abs=5e-4)


def test_overfitting_is_read_from_the_curves():
    (fit, _) = learning_curves.of_model(made_run(), "qin")
    assert learning_curves.after_the_best([fit]) == pytest.approx((-0.01, -0.1))


def test_correlations_are_of_logits():
    run = made_run()
    expected = np.corrcoef(run.held.logits["qin"], run.held.logits["din"])[0, 1]
    assert blends.correlations(run)[0, 1] == pytest.approx(expected)


def test_points_are_submissions_with_both_scores():
    rows = [*board(("0.88000 ± 0.01", 0.9), ("-", 0.8)), {**board(("0.9", 0.1))[0], "public": "-"}]
    assert public.points_of(rows) == [("sample/research-0", 0.88, 0.9)]


# --- drawings


def drawn() -> str:
    made, axes = drawing.canvas()
    axes.plot([0, 1], [0, 1], "o-", color=drawing.series(9))
    axes.set_xlabel("epoch")
    axes.annotate("a point", (0.5, 0.5))
    return drawing.svg(made, "a line")


def test_a_drawing_takes_every_colour_and_font_from_the_page_and_keeps_text():
    text = drawn()
    assert not re.search(r"(fill|stroke): (?!none|var\()", text)
    styles = re.findall(r'<text style="([^"]*)"', text)
    assert "a point" in text
    assert all("fill: var(--" in style for style in styles)  # without one it would be black
    assert "var(--c1)" in text  # the ninth colour is the first again, the tenth the second
    assert ">epoch</text>" in text
    assert 'aria-label="a line"' in text


def test_equal_data_give_equal_bytes():
    assert drawn() == drawn()
    assert reporting.build(made_run()) == reporting.build(made_run())


# --- the page


class Checker(HTMLParser):
    """Raises where tags do not nest; keeps what a browser would fetch or run."""

    EMPTY = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.active: list[str] = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "link", "iframe", "img", "object"):
            self.active.append(tag)
        links = [v for k, v in given.items() if k in ("src", "href", "xlink:href", "data")]
        self.active += [link for link in links if not link.startswith("#")]
        self.active += [k for k in given if k.startswith("on")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(document: str) -> str:
    checker = Checker()
    checker.feed(document)
    checker.close()
    assert checker.open == []
    assert checker.active == []
    assert "@import" not in document
    assert not re.search(r"url\((?!#)", document)
    return document


def titles(run: Run) -> list[str]:
    return [section.title for section in reporting.sections(run)]


def test_a_run_is_one_page_that_fetches_and_runs_nothing():
    document = checked(reporting.build(made_run()))
    assert len(document) < 2_000_000
    assert "<h1>sample: hill climbing of qin and din ships</h1>" in document
    for figure in ("blends: nested CV", "0.88500 ± 0.01000", "0.86000", "0.91000"):
        assert figure in document


def test_what_there_is_nothing_of_is_left_out_and_shown_where_it_is():
    plain = titles(made_run())
    assert not {"Tuning", "Probes", "CV against public"} & set(plain)
    points = board(("0.88", 0.9), ("0.89", 0.8), ("0.90", 0.95))
    full = made_run(tuning=[TUNE], probes=[PROBE], masks=[MASK], board=points)
    assert set(titles(full)) - set(plain) == {"Tuning", "Probes", "CV against public"}
    document = checked(reporting.build(full))
    assert "item id alone reaches 0.7" in document
    assert "2 of 3 pairs" in document
    assert 'class="bad">FAIL' in document
    assert [t["number"] for t in tuning.completed(TUNE)] == [0, 2]


def test_what_users_write_is_escaped_everywhere():
    s = dataclasses.replace(
        load_config.load("sample", ["models=qin,din"]), profile=HOSTILE, overrides=(HOSTILE,)
    )
    run = made_run(
        settings=s,
        tuning=[TUNE],
        probes=[PROBE],
        submission=HOSTILE,
        manifest={"commit": HOSTILE},
    )
    document = checked(reporting.build(run))
    assert "<script" not in document
    assert document.count("&lt;script&gt;") >= 6
    assert markup(HOSTILE) != HOSTILE
    assert markup(Html(HOSTILE)) == HOSTILE
    assert "<script" not in table([HOSTILE], [[HOSTILE, HOSTILE]])


def test_findings_and_failed_masks_stand_at_the_top():
    said = probes.warnings(made_run(probes=[PROBE], masks=[MASK]))
    assert len(said) == 2
    assert said[1] == "din reads padding: other padding moves its logits"
    document = reporting.build(made_run(probes=[PROBE], masks=[MASK]))
    assert document.count('<p class="warning">') == 2
    silent = made_run(masks=[{"models": {"qin": GOOD}}])
    assert probes.warnings(silent) == []
    assert "every network reads the history and no padding" in reporting.build(silent)


def test_the_stackers_importances_are_shown_as_shares():
    run = made_run()
    given = run.blend | {"importances": {f"column{i}": float(i) for i in range(30)}}
    document = checked(reporting.build(dataclasses.replace(run, blend=given)))
    assert "column29" in document
    assert f"{29 / 435:.1%}" in document
    assert "18 others" in document


def test_one_network_of_the_official_split_has_no_cv_and_no_blend():
    figures = {"valid": 0.87}
    blend = {"models": {"qin": figures}, "chosen": "best_single"}
    blend["blenders"] = {"best_single": figures | {"weights": {"qin": 1.0}}}
    rows = [
        {"name": name, "cv": None, "sd": None, "valid": 0.87, "hidden": None}
        for name in ("qin", "best_single")
    ]
    run = made_run(
        settings=load_config.load("sample", ["models=qin", "rules=strict"]),
        blend=blend,
        judged={
            "rows": rows, "shipped": "best_single", "chosen_by": "official valid", "bayes": None,
            "tuned": ["qin"],
        },
        fits={("qin", 0, -1): record()},
        held=dataclasses.replace(scored(("qin",)), what="official valid"),
    )  # fmt: skip
    document = checked(reporting.build(run))
    assert "<h1>sample: qin ships</h1>" in document
    assert "hidden test" not in document
    assert "The blend" not in titles(run)
    assert "Official valid chose epochs" in document
    assert "Official valid has also chosen the settings of qin: only the test" in document


def test_a_gain_is_shown_with_its_interval():
    run = made_run()
    run.blend["blenders"]["hill_climbing"]["valid_gain"] = [0.01, 0.002, 0.018]
    assert "+0.01000 (+0.00200 to +0.01800)" in reporting.build(run)


def test_rows_without_both_classes_in_any_group_still_make_a_page():
    held = scored(("qin", "din"), n=60)
    checked(reporting.build(made_run(held=held)))


def test_passwords_in_words_are_not_shown():
    for who in ("me", "me:secret", "me:se/cret", "me:s@cret"):
        word = f"tune.storage=postgresql+psycopg://{who}@host/db"
        assert without_secrets(word) == "tune.storage=postgresql+psycopg://…@host/db"
    word = "tune.storage=postgresql://host/db?password=secret&a=b"
    assert without_secrets(word) == "tune.storage=postgresql://host/db?password=…&a=b"


def test_the_report_knows_no_way_to_the_hidden_labels():
    folder = Path(reporting.__file__).parent
    assert [p.name for p in folder.glob("*.py") if "hidden_labels" in p.read_text()] == []
