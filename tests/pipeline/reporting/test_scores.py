"""The score table in a terminal."""

import pytest

from pipeline.reporting import scores

ROW = {"sd": 0.01, "valid": 0.87, "hidden": None, "valid_gain": None, "hidden_gain": None}
ROW |= {"slates": False, "cv_last": None}


@pytest.fixture
def table() -> dict:
    rows = [
        ROW | {"name": "qin", "cv": 0.88},
        ROW | {"name": "best_single", "cv": 0.87},
        ROW | {"name": "hill_climbing", "cv": 0.885, "valid_gain": [0.01, 0.002, 0.018]},
    ]
    return {
        "rows": rows, "submitted": "hill_climbing", "chosen_by": "nested CV", "bayes": None,
        "bayes_slates": None, "tuned": [], "folds_chose_epochs": True,
        "forecast": None,
        "without_slates": None,
    }  # fmt: skip


def test_a_star_marks_what_is_submitted_and_the_last_lines_say_how_to_read_it(table):
    lines = scores.as_text(table).splitlines()
    starred = [line.split()[1] for line in lines if line.startswith("* ")]
    assert starred == ["hill_climbing", "hill_climbing", "is"]
    assert lines[-2:] == ["* is submitted, chosen by nested CV.", f"  {scores.CV_BIAS}"]
    assert "+0.01000 [+0.00200, +0.01800]" in lines[-3]
    honest = scores.as_text(table | {"folds_chose_epochs": False}).splitlines()
    assert honest == lines[:-1]


def test_the_cv_gain_is_against_the_best_single_network(table):
    assert scores.cv_gain(table) == pytest.approx(0.015)
    assert scores.cv_gain(table | {"submitted": "best_single"}) is None


def test_the_table_says_which_score_tuning_has_biased(table):
    tuned = table | {"tuned": ["qin", "din"]}
    assert "folds also chose the settings of qin, din: compare by" in scores.as_text(tuned)
    official = tuned | {"rows": [row | {"cv": None, "sd": None} for row in table["rows"]]}
    assert "Official valid also chose the settings of qin, din" in scores.as_text(official)
    assert scores.VALID_BIAS in scores.as_text(official)
    assert scores.tuning_bias(table) == ""
    assert "settings" not in scores.as_text(table)


def test_where_slates_are_drawn_together_a_line_says_both_best_scores(table):
    known = table | {"bayes": 0.83, "bayes_slates": 0.92}
    line = "  Bayes AUC: 0.83000 by rows alone, 0.92000 with slates"
    assert line in scores.as_text(known).splitlines()
    assert "with slates" not in scores.as_text(table | {"bayes": 0.83})


def test_the_forecast_stands_below_the_table(table):
    known = table | {"forecast": {"auc": 0.87, "low": 0.85, "high": 0.89}}
    sentence = (
        "  On a test set like official valid this submission scores 0.8700, 95 % between 0.8500 and"
        " 0.8900."
    )
    lines = scores.as_text(known).splitlines()
    assert lines[-2:] == [sentence, f"  {scores.CV_BIAS}"]
    assert max(map(len, lines)) <= 100
    assert "official valid" not in scores.as_text(table)


def test_rows_that_compare_slates_stand_apart_with_their_own_bayes_score(table):
    slates = ROW | {"name": "slate_mean", "slates": True, "cv": 0.92, "hidden": 0.91}
    rows = [row | {"hidden": 0.8} for row in table["rows"]]
    rows.insert(1, slates)
    known = table | {
        "rows": rows, "submitted": "slate_mean", "without_slates": "hill_climbing",
        "bayes": 0.83, "bayes_slates": 0.92,
    }  # fmt: skip
    lines = scores.as_text(known).splitlines()
    assert [line[2:].split()[0] for line in lines[1:6]] == [
        "qin", "best_single", "hill_climbing", "compared", "slate_mean",
    ]  # fmt: skip
    assert lines[3].endswith("0.80000   0.83000")
    assert lines[5].startswith("* slate_mean")
    assert lines[5].endswith("0.91000   0.92000")
    says = lines.index("* is submitted, chosen by nested CV.")
    assert lines[says + 1] == f"  {scores.NEEDS_SLATES}"
    alone = "  without slates: hill_climbing 0.88500 CV, 0.87000 valid, 0.80000 hidden"
    assert lines[says + 2] == alone
    tried = scores.as_text(known | {"submitted": "hill_climbing", "without_slates": None})
    assert "compared within slates" in tried
    assert "score whole slates" not in tried
    assert "without slates" not in tried
    assert "compared within slates" not in scores.as_text(table)


def test_cv_on_last_events_has_a_column_where_it_is_known(table):
    assert "CV last" not in scores.as_text(table)
    last = table | {"rows": [row | {"cv_last": 0.8512} for row in table["rows"]]}
    head, first, *_ = lines = scores.as_text(last).splitlines()
    assert head.index("CV last") + len("CV last") == first.index("0.85120") + len("0.85120")
    assert max(map(len, lines)) <= 80


def test_of_one_network_the_blends_that_only_repeat_it_are_left_out(table):
    rows = [
        ROW | {"name": "qin", "cv": 0.88},
        ROW | {"name": "qin, one fit", "cv": None, "valid": 0.85},
        *(ROW | {"name": name, "cv": 0.88 + 1e-9} for name in ("best_single", "logit_mean")),
        ROW | {"name": "rank_mean", "cv": 0.88, "valid": 0.86},
    ]
    alone = table | {"rows": rows, "submitted": "best_single"}
    assert [row["name"] for row in scores.shown_rows(alone)] == ["qin", "qin, one fit", "rank_mean"]
    lines = scores.as_text(alone).splitlines()
    assert lines[1].startswith("* qin ")
    assert lines[-1] == "  Left out, since equal to qin: best_single, logit_mean."
    two = alone | {"rows": [ROW | {"name": "din", "cv": 0.8}, *rows]}
    assert scores.shown_rows(two) == two["rows"]
    assert "Left out" not in scores.as_text(two)


def test_the_table_fits_a_terminal_whatever_the_networks_are_called(table):
    rows = [row | {"cv_last": 0.8, "hidden": 0.8} for row in table["rows"]]
    no_gains = {"valid_gain": None, "hidden_gain": None}
    wide = [row | no_gains | {"name": "transformer_dcn, one fit"} for row in table["rows"]]
    for known in (table | {"rows": rows}, table | {"rows": [*wide, *table["rows"]]}):
        lines = scores.as_text(known).splitlines()
        assert max(len(line) for line in lines if "   " in line) < scores.TERMINAL
