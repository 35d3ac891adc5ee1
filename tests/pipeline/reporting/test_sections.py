"""What the sections of report.html compute."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from cv.auc import auc
from cv.calibration import log_loss, reliability
from pipeline.reporting.sections import (
    blend,
    calibration,
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
    name = "qin seed 0 fold 0 reached an AUC of 0.5400, its siblings 0.7800"
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
        ["train", "3,000", "4 (97.5 %), 5 (2.5 %)", "1 (100.0 %)"],
        ["test", "10", "4 (100.0 %)", "-"],
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
