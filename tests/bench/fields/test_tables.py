"""The tables of the benchmark over fields, as Markdown and as a page."""

import numpy as np
import pytest

from bench.fields import differences, tables
from bench.fields.page import markdown, write_tables
from bench.fields.settings import Published, data_set
from cv.trainings import training_bootstrap
from tests.helpers.page import Page

FIGURES = data_set("frappe_x1").published
LABEL = np.tile([0, 1], 200)


def scores(quality, *figures, parameters=12):
    """A network whose seeds have these figures (AUC, log loss); its logits know the label by
    `quality`, and are noise otherwise."""
    fixed = {"parameters": parameters, "best_epoch": 1, "epochs": [{"seconds": 2.04}]}
    reports = [fixed | {"auc": a, "log_loss": b} for a, b in figures]
    noise = np.random.default_rng(0).standard_normal((len(LABEL), len(figures)))
    return tables.Scores(reports, noise + quality * LABEL[:, None])


SCORES = {
    "final_2b": scores(3, (0.98, 0.14), (0.99, 0.12)),
    "dcn": scores(1, (0.90, 0.3), (0.92, 0.4)),
    "dcn_final": scores(2, (0.93, 0.2), (0.91, 0.4)),
    "dcn_v2_final": scores(2, (0.93, 0.2), (0.91, 0.4)),
    "deepfm": scores(1, (0.90, 0.3), (0.92, 0.4)),
}
MLP = {
    "mlp": scores(2, (0.90, 0.3), (0.92, 0.4), parameters=417_891),
    "mlp_final": scores(2, (0.80, 0.3), (0.82, 0.4)),
}


def rows(section):
    return {row[0]: list(row[1:]) for row in section.blocks[0].rows}


def test_published_figures_stand_beside_measured_ones():
    score, cost = tables.sections(SCORES, FIGURES)
    assert rows(score)["final_2b"] == [
        "0.985744",
        "0.9895",
        "0.985000 ± 0.007071",
        "0.131070",
        "0.130000 ± 0.014142",
    ]
    assert rows(score)["dcn_final"][:3] == ["–", "0.9848", "0.920000 ± 0.014142"]
    assert rows(score)["dcn_v2_final"][:2] == ["–", "–"]
    assert cost.finding == "A fit takes 2.0 s, the median of the networks."
    assert rows(cost)["final_2b"] == ["338,502", "12", "8", "2.0", "24", "1 (1), 1 (1)"]


def test_without_figures_there_are_no_columns_of_them():
    score, cost = tables.sections(SCORES, {})
    assert score.blocks[0].columns == ["network", "AUC, ours", "log loss, ours"]
    assert rows(cost)["dcn"] == ["12", "2.0", "1 (1), 1 (1)"]
    assert score.finding == "The highest mean AUC is 0.985000, of final_2b."


def test_networks_that_are_not_within_reach_of_the_benchmark_are_named():
    figures = {name: Published(auc=0.9) for name in ("lr", "dcn", "mlp", "cin")}
    near = {"lr": scores(1, (0.8981, 0.3)), "dcn": scores(1, (0.9009, 0.3))}
    assert tables.within_sentence(near, figures) == (
        "2 of 2 networks are within 0.001 AUC of the benchmark's run (of lr, fm, afm and crossnet"
        " within 0.002)."
    )
    far = {"mlp": scores(1, (0.8981, 0.3)), "cin": scores(1, (0.9, 0.3), (0.906, 0.3))}
    assert tables.within_sentence(near | far, figures).endswith(
        "; not mlp -0.001900 and cin +0.003000."
    )
    assert tables.within_sentence({"sam": far["mlp"]}, figures) == ""


def test_parameters_that_were_published_twice_are_named():
    cost = tables.sections(MLP, FIGURES)[1]
    assert "counts its MLP twice: 417,891 are those" in cost.blocks[1].text
    assert "and 364,001 more" in cost.blocks[1].text
    avazu = {"mlp": scores(1, (0.76, 0.3), parameters=13_395_591)}
    assert len(tables.sections(avazu, data_set("avazu_x1").published)[1].blocks) == 1


def test_gains_are_taken_seed_by_seed_with_intervals_over_rows_and_seeds():
    (blocks,) = differences.gains(SCORES | MLP, LABEL, FIGURES)
    found = training_bootstrap(LABEL, SCORES["dcn_final"].logits, SCORES["dcn"].logits)
    assert rows(blocks)["DCN"] == [
        "+0.010000 ± 0.028284",
        f"[{found.low:+.6f}, {found.high:+.6f}]",
        "-0.050000 ± 0.070711",
        "+0.0009",
    ]
    assert 0 < found.estimate < found.high
    assert rows(blocks)["MLP"][:2] == ["-0.100000 ± 0.000000", "[+0.000000, +0.000000]"]
    assert "DeepFM" not in rows(blocks)
    above = int(found.low > 0)
    assert blocks.finding == (
        f"Mean AUC higher: 1 of 2. The interval lies above 0 in {above}, below 0 in 0."
    )
    assert (
        len(rows(differences.gains(SCORES, LABEL, {})[0])["DCN"]) == 3
    )  # no column of the paper's


def test_the_papers_layer_has_a_table_of_its_own():
    of_layers = {"final_1b": scores(1, (0.9, 0.1)), "final_1b_paper": scores(0, (0.8, 0.3))}
    (layers,) = differences.gains(of_layers, LABEL, FIGURES)
    assert rows(layers)["FINAL 1B"][0] == "-0.100000"
    assert layers.finding.endswith("above 0 in 0, below 0 in 1.")
    assert [s.anchor for s in differences.gains(of_layers | SCORES, LABEL, FIGURES)] == [
        "blocks",
        "layers",
    ]
    assert differences.gains({"final_1b": of_layers["final_1b"]}, LABEL, FIGURES) == []


def test_networks_stand_in_the_order_of_their_auc_each_with_its_lead_over_the_next():
    networks = {name: SCORES[name] for name in ("dcn", "final_2b", "dcn_final")}
    (order,) = differences.order(networks, LABEL)
    assert [row[:4] for row in order.blocks[0].rows] == [
        ["1", "final_2b", "0.985000", "+0.065000"],
        ["2", "dcn_final", "0.920000", "+0.010000"],
        ["3", "dcn", "0.910000", "–"],
    ]
    found = training_bootstrap(LABEL, networks["final_2b"].logits, networks["dcn_final"].logits)
    assert order.blocks[0].rows[0][4] == f"[{found.low:+.6f}, {found.high:+.6f}]"
    assert differences.order({"dcn": networks["dcn"]}, LABEL) == []


def test_both_files_hold_every_table_and_the_page_fetches_nothing(tmp_path):
    notes = ["train is <not> the published file."]
    text = write_tables(tmp_path / "out/own_x1", "own_x1", notes, SCORES, LABEL, FIGURES)
    assert (tmp_path / "out/own_x1.md").read_text(encoding="utf-8") == text
    document = (tmp_path / "out/own_x1.html").read_text(encoding="utf-8")
    shown = " ".join(Page(document).texts)
    for heading in ("Scores of test", "Parameters and time", "The networks in their order"):
        assert f"## {heading}\n" in text
        assert heading in shown
    assert text.startswith("# own_x1\n\ntrain is <not> the published file.\n\n## Scores")
    assert "| final_2b | 0.985744 | 0.9895 | 0.985000 ± 0.007071 |" in text
    assert notes[0] in shown


@pytest.mark.parametrize("figures", [FIGURES, {}])
def test_the_markdown_has_a_table_under_every_heading(figures):
    text = markdown("own", [], tables.sections(SCORES, figures))
    assert text.count("\n## ") == text.count("| --- |\n") == 2
