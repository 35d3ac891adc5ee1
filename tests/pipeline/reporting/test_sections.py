"""What the sections of report.html compute."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn import metrics

from cv.auc import auc
from cv.calibration import log_loss, reliability
from pipeline.reporting import drawing, report
from pipeline.reporting.sections import (
    blend,
    calibration,
    cost,
    glossary,
    groups,
    headline,
    learning_curves,
    probes,
    public,
    tuning,
    within_slates,
)
from tests.helpers.report import (
    MASK,
    PASSED,
    PROBE,
    STUDY,
    fit_record,
    leaderboard_rows,
    run_of,
    run_with_slates,
    scored,
)


def test_log_loss_is_the_mean_negative_log_likelihood():
    rows = scored(("a",))
    expected = metrics.log_loss(rows.label, expit(rows.logits["a"]))
    assert log_loss(rows.label, rows.logits["a"]) == pytest.approx(expected, abs=1e-12)
    assert log_loss(np.array([0, 1]), np.array([-800.0, 800.0])) == 0
    assert log_loss(np.array([1]), np.array([-800.0])) == 800


def test_reliability_bins_are_means_of_their_rows():
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
    ("change", "tendency", "slope"),
    [
        (lambda z: z, "calibrated", 1),
        (lambda z: z + 1, "too high", 1),
        (lambda z: z - 1, "too low", 1),
        (lambda z: 2 * z, "overconfident", 0.5),
        (lambda z: z / 2, "underconfident", 2),
    ],
)
def test_the_tendency_of_probabilities_is_named(change, tendency, slope):
    z = np.random.default_rng(0).normal(0, 1.5, 400_000)
    label = np.random.default_rng(1).random(len(z)) < expit(z)
    bins = reliability(label, change(z))
    assert calibration.tendency(bins) == tendency
    assert bins.slope == pytest.approx(slope, rel=0.03)


def test_a_curve_that_bends_around_the_diagonal_is_not_called_calibrated():
    """Its slope is 1 and its mean is right: the expected calibration error sees it."""
    p = np.tile([0.1, 0.3, 0.5, 0.7, 0.9], 4000)
    rng = np.random.default_rng(0)
    straight = rng.random(len(p)) < p
    bent = rng.random(len(p)) < p + np.tile([0.03, -0.06, 0.0, 0.06, -0.03], 4000)
    assert calibration.verdict(reliability(straight, logit(p))) == "calibrated"
    bins = reliability(bent, logit(p))
    assert bins.slope == pytest.approx(1, abs=0.1)
    assert abs(bins.bias) < calibration.TOLERANCE
    assert calibration.verdict(bins).startswith("bent, at worst 0.0")
    few = rng.random(100) < p[:100]
    chance = calibration.verdict(reliability(few, logit(p[:100])))
    assert chance == "calibrated, as far as 100 rows can tell"


def test_chance_alone_gives_this_calibration_error():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, 3000)
    bins = [reliability(rng.random(len(z)) < expit(z), z) for _ in range(40)]
    expected = np.mean([calibration.chance_ece(one) for one in bins])
    assert np.mean([one.ece for one in bins]) == pytest.approx(expected, rel=0.1)


def test_a_histogram_loses_no_row():
    rows = scored(("a",))
    _, shares = calibration.histogram(rows.label, rows.logits["a"], (-0.5, 0.5))
    np.testing.assert_allclose(shares.sum(1), 1)
    outside = rows.logits["a"][rows.label == 1] >= 0.5
    assert shares[1, -1] >= outside.mean()


def test_groups_hold_every_row_once_and_zero_has_its_own():
    values = np.array([0, 0, 3, 3, 4, 9, 12, 2000, 3_600_000])
    three = groups.groups_of(values, n_groups=3)
    assert three.names == ["0", "3", "4–9", "≥ 12"]
    assert three.of_row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert groups.groups_of(np.full(5, 7)).names == ["7"]
    assert groups.groups_of(np.zeros(5, int)).names == ["0"]


def test_the_auc_of_a_group_is_that_of_its_rows_and_unknown_where_they_are_few():
    rows = scored(("a",), n=3000)
    by_history = groups.groups_of(rows.history)
    aucs = groups.auc_by(by_history, rows.label, rows.logits["a"]).auc
    for g in range(len(by_history.names)):
        part = by_history.of_row == g
        assert aucs[g] == auc(rows.label[part], rows.logits["a"][part])
    two = groups.groups_of(np.r_[0, np.ones(99, int)])
    few = groups.auc_by(two, rows.label[:100], np.ones(100))
    assert np.isnan(few.auc).tolist() == [True, False]


def test_the_interval_is_the_published_one():
    """Hanley & McNeil 1982: an area of 0.893 from 51 and 58 cases has a standard error of 0.032."""
    error = groups.hanley_mcneil(np.array([0.893]), np.array([51]), np.array([58]))
    assert error[0] == pytest.approx(0.0325, abs=5e-4)


def test_overfitting_is_read_from_the_curves():
    (fit, _) = learning_curves.of_model(run_of(), "qin")
    assert learning_curves.change_after_best([fit]) == pytest.approx((-0.01, -0.1))


def test_a_fit_that_did_not_learn_is_named_beside_the_scores_and_not_called_overfit():
    """Its whole curve lies in the panel; the early epochs of the others need not."""
    flat = {
        "epochs": [{"loss": 0.6 - 0.1 * i, "score": s} for i, s in enumerate((0.5, 0.58, 0.54))]
    }
    failed = fit_record(auc=0.54, **flat)
    fits = run_of().fits | {("qin", 0, 0): failed}
    del fits["din", 0, 0], fits["din", 0, 1]
    run = run_of(fits=fits | {("din", 0, 0): fit_record(auc=0.5, **flat)})
    section = learning_curves.section(run)
    name = "qin seed 0 fold 0 reached an AUC of 0.5400, a sibling 0.7800"
    assert name in section.finding
    assert "After it qin overfits" in section.finding  # its other fit
    assert "din overfit" not in section.finding
    assert [name in warning for warning in learning_curves.warnings(run)] == [True, False]
    assert headline.headline(run).warnings[0].startswith(name)
    curves = {model: learning_curves.of_model(run, model) for model in run.models}
    low, high = learning_curves._limits(curves)
    assert low < 0.5 < 0.8 < high
    sound = {"qin": curves["qin"][1:]}
    assert learning_curves._limits(sound)[0] > 0.7


def test_correlations_are_of_logits():
    run = run_of()
    logits = run.held_out.logits
    expected = np.corrcoef(logits["qin"], logits["din"])[0, 1]
    assert blend.correlations(run)[0, 1] == pytest.approx(expected)


def test_points_are_submissions_with_both_scores():
    rows = leaderboard_rows((0.88, 0.9), (None, 0.8), (0.9, None))
    assert public.points_of(rows) == [("sample/research-0", 0.88, 0.9)]


def test_trials_that_were_pruned_or_failed_are_not_completed():
    assert [trial["number"] for trial in tuning.completed(STUDY)] == [0, 2]


def test_trials_below_the_scale_are_marked_at_its_edge_and_counted():
    trial = STUDY["trials"][0]
    values = [0.86, 0.865, 0.87, *[0.5] * 7]
    trials = [
        trial | {"number": i, "value": value, "state": "COMPLETE" if i < 3 else "PRUNED"}
        for i, value in enumerate(values)
    ]
    run = run_of(studies=[STUDY | {"trials": trials}])
    with drawing.style():
        history = tuning.section(run).blocks[0].blocks[0].blocks[0]
    assert history.caption.endswith("▼ 7 of 10 trials lie below the scale")
    assert history.content.content.count("<use ") == len(values)
    visible = tuning.section(run_of(studies=[STUDY | {"trials": trials[:3]}]))
    assert "below" not in visible.blocks[0].blocks[0].blocks[0].caption


def test_the_best_trials_stand_in_columns():
    table = tuning.section(run_of(studies=[STUDY])).blocks[0].blocks[1]
    assert table.columns == ["trial", "2", "0"]
    assert table.rows[0] == ["mean fold AUC", "0.87000", "0.86000"]
    assert ["qnn.layers", "3", "-"] in [list(row) for row in table.rows]


def test_wall_time_counts_what_ran_side_by_side_once():
    def made(at: str, seconds: float) -> dict:
        return {"made": f"2026-01-01T00:{at}+00:00", "seconds": seconds}

    both = [made("00:10", 10), made("00:12", 8), made("01:00", 5)]
    assert cost.wall_seconds(both) == pytest.approx(12 + 5)
    assert cost.wall_seconds([*both, {"seconds": 1}]) is None
    stages = {"50_train": [fit_record() | record for record in both]}
    section = cost.section(run_of(stages=stages))
    assert section.finding.startswith("23.0 s of work in 17.0 s on the clock")
    assert section.blocks[0].rows[0][:3] == ["50_train", "23.0 s", "17.0 s"]


def test_the_share_of_rows_of_prefixes_stands_beside_the_networks_that_have_any():
    plain = cost.section(run_of()).blocks[-1]
    assert plain.columns[-1] == "device"
    asked = [fit_record(rows=100, prefix_rows=n) for n in (60, 40)]
    fits = {("qin", 0, k): fit for k, fit in enumerate(asked)} | {("din", 0, 0): fit_record()}
    table = cost.section(run_of(fits=fits)).blocks[-1]
    assert table.columns[-1] == "rows of prefixes"
    assert table.columns[-1] in glossary.GLOSSARY
    assert [row[-1] for row in table.rows] == ["50%", ""]
    assert [len(row) for row in (*plain.rows, *table.rows)] == [7, 7, 8, 8]


def test_the_glossary_explains_every_column_but_names_of_networks():
    full = run_of(
        studies=[STUDY], probes=[PROBE], masks=[MASK], leaderboard=leaderboard_rows((0.8, 0.9)) * 2
    )
    sections = report.sections(full)
    tables = [table for part in sections for table in glossary.tables_in(part.blocks)]
    columns = {column for table in tables for column in table.columns}
    assert columns - glossary.GLOSSARY.keys() <= {"", "qin", "din", "version", "2", "0"}
    (terms,) = sections[-1].blocks
    shown = [term for term, _ in terms.terms]
    assert set(shown) == columns & glossary.GLOSSARY.keys()
    assert list(glossary.GLOSSARY) == sorted(glossary.GLOSSARY, key=order)


def order(word: str) -> tuple[bool, str]:
    return word[0].isdigit(), word.lower()


def test_the_headline_says_what_was_looked_for_and_not_that_nothing_is_there():
    section = probes.section(run_of(probes=[PROBE | {"findings": []}]))
    assert section.finding == "No findings: looked in the data for item id, level; none found."


def test_figures_within_slates_stand_beside_the_pooled_auc_of_their_rows():
    run = run_with_slates()
    section = within_slates.section(run)
    valid, hidden = (part.blocks[0] for part in section.blocks[0].blocks)
    assert valid.rows[valid.bold] == ["slate mean", "0.94000", "0.80000", "62.5%", "0.9000"]
    assert [row[0] for row in hidden.rows] == ["qin", "din", "best single", "hill climbing"]
    assert hidden.bold == -1
    end = "in 62.5% of the slates of valid, hill climbing without slates in 50.0%."
    assert section.finding == f"What is submitted ranks a click first {end}"
    alone = run.scores | {"submitted": "qin", "without_slates": None}
    finding = within_slates.section(dataclasses.replace(run, scores=alone)).finding
    assert finding.endswith("in 50.0% of the slates of valid; it scores each row alone.")
    mixed = run.scores | {"submitted": "with_external"}
    finding = within_slates.section(dataclasses.replace(run, scores=mixed)).finding
    assert finding == "What is submitted was not measured: with external."


def test_slates_are_shown_by_split():
    slates, _ = probes.section(run_of(probes=[PROBE])).blocks
    assert slates.rows == [
        ["train", "3,000", "4\u00a0(97.5%), 5\u00a0(2.5%)", "1\u00a0(100.0%)"],
        ["test", "10", "4\u00a0(100.0%)", "-"],
    ]
    earlier = {key: PROBE[key] for key in ("findings", "measured")}
    assert len(probes.section(run_of(probes=[earlier])).blocks) == 1


def test_findings_and_failed_masks_are_warnings():
    sentences = probes.warnings(run_of(probes=[PROBE], masks=[MASK]))
    assert sentences == [
        "item id alone reaches 0.7",
        "din reads padding: its logits change with the padding",
    ]
    assert probes.warnings(run_of(masks=[{"models": {"qin": PASSED}}])) == []


def test_what_columns_are_worth_stands_beside_the_histories_of_networks_that_have_them():
    (table,) = probes.section(run_of(masks=[MASK])).blocks
    assert table.columns[-1] == "with others' columns"
    assert [row[-1] for row in table.rows] == ["0.80000", "-"]
    (table,) = probes.section(run_of(masks=[{"models": {"qin": PASSED}}])).blocks
    assert "with others' columns" not in table.columns
