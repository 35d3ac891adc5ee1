"""Figures within slates: which chances the softmax over a slate takes."""

import numpy as np
import polars as pl
import pytest

from pipeline.blending.predictions import SUBMITTED
from pipeline.reporting.within_slates import compares_slates, within_slates

CHANCE = np.array([0.7, 0.3, 0.2, 0.8])  # of a click, in two slates of two rows
ODDS = CHANCE / (1 - CHANCE)


def rows(**columns) -> pl.DataFrame:
    fixed = {"user_id": [1, 1, 2, 2], "slate": [0, 0, 1, 1], "label": [1, 0, 1, 0]}
    return pl.DataFrame(fixed | columns)


def test_scores_of_single_rows_enter_by_their_odds_and_compared_ones_by_their_chances():
    table = rows(qin=np.log(ODDS), slate_mean=np.log(ODDS), rank_mean=CHANCE)
    table = table.with_columns(table["rank_mean"].alias(SUBMITTED))
    names = {name: name for name in ("qin", "slate_mean", "rank_mean")}
    figures = within_slates(table, names | {"mixed": SUBMITTED}, submitted_compares=True)
    by_odds = -np.log(ODDS[0] / ODDS[:2].sum() * ODDS[2] / ODDS[2:].sum()) / 2
    by_chance = -np.log(0.7 * 0.2) / 2
    want = {"qin": by_odds, "rank_mean": by_odds, "slate_mean": by_chance, "mixed": by_chance}
    assert {name: f["log_loss"] for name, f in figures.items()} == pytest.approx(want)
    assert {f["clicked_first"] for f in figures.values()} == {0.5}
    assert {f["gauc"] for f in figures.values()} == {0.5}
    alone = within_slates(table, {"mixed": SUBMITTED})
    assert alone["mixed"]["log_loss"] == pytest.approx(by_odds)


def test_a_figure_that_is_not_known_is_none():
    assert (
        within_slates(rows(qin=CHANCE).with_columns(slate=pl.Series(range(4))), {"q": "qin"})
        is None
    )
    clicks = rows(qin=CHANCE).with_columns(label=pl.lit(1))
    assert within_slates(clicks, {"q": "qin"})["q"]["gauc"] is None


def test_a_probability_of_0_or_1_has_a_figure():
    table = rows(**{SUBMITTED: [0.0, 1.0, 1.0, 0.0]})
    assert np.isfinite(within_slates(table, {"mixed": SUBMITTED})["mixed"]["log_loss"])


def test_blenders_say_whether_they_compare_slates():
    assert compares_slates("slate_mean")
    assert not compares_slates("lightgbm")
    assert not compares_slates("qin")
