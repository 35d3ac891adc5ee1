"""submissions/LEADERBOARD.md."""

import json

import pytest

from pipeline.reporting import leaderboard

JUDGED = {
    "rows": [
        {"name": "best_single", "cv": 0.88, "sd": 0.01, "valid": 0.87, "hidden": None},
        {"name": "hill_climbing", "cv": 0.885, "sd": 0.01, "valid": 0.875, "hidden": None},
    ],
    "shipped": "hill_climbing",
    "bayes": None,
    "tuned": [],
}
OLD = """# Ours

| date | submission | rules | public |
| --- | --- | --- | --- |
| 2026-01-01 | sample/research-old | research | 0.97000 |

A word below.
"""


@pytest.fixture
def submission(tmp_path):
    folder = tmp_path / "sample" / "research-1"
    folder.mkdir(parents=True)
    manifest = {
        "commit": "abc", "rules": "research", "blend": "hill_climbing",
        "weights": {"din": 0.3, "qin": 0.7, "final": 0.0}, "runs": ["qin-seed0-fold0-1", "din-2"],
        "external": None,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_row_says_what_ships_and_what_it_gained(tmp_path, submission):
    board = tmp_path / "LEADERBOARD.md"
    leaderboard.record(board, submission, JUDGED)
    (row,) = leaderboard.rows_of(board, "sample")
    assert tuple(row) == leaderboard.COLUMNS
    assert (row["CV ± sd"], row["hidden"], row["public"]) == ("0.88500 ± 0.01000", "-", "-")
    expected = "qin 0.70 + din 0.30; nested CV +0.00500 against the best single network"
    assert row["sentence"] == expected
    before = board.read_bytes()
    leaderboard.record(board, submission, JUDGED)
    assert board.read_bytes() == before


def test_a_row_says_what_flatters_it(tmp_path, submission):
    manifest = json.loads((submission / "manifest.json").read_text())
    manifest |= {"external": {"file": "theirs.csv"}}
    (submission / "manifest.json").write_text(json.dumps(manifest))
    board = tmp_path / "LEADERBOARD.md"
    leaderboard.record(board, submission, JUDGED | {"tuned": ["qin"]})
    sentence = leaderboard.rows_of(board, "sample")[0]["sentence"]
    assert "mixed with theirs.csv, which was judged by nothing" in sentence
    assert sentence.endswith("settings of qin: official valid is the yard-stick.")


@pytest.mark.parametrize("weights", [None, "lightgbm.txt"])
def test_a_blend_without_weights_is_named(tmp_path, submission, weights):
    manifest = json.loads((submission / "manifest.json").read_text()) | {"weights": weights}
    (submission / "manifest.json").write_text(json.dumps(manifest))
    board = tmp_path / "LEADERBOARD.md"
    leaderboard.record(board, submission, JUDGED)
    assert leaderboard.rows_of(board, "sample")[0]["sentence"].startswith("hill_climbing; nested")


def test_public_score_and_sentence_are_set_in_the_row_that_is_there(tmp_path, submission):
    board = tmp_path / "LEADERBOARD.md"
    leaderboard.record(board, submission, JUDGED)
    leaderboard.record(board, submission, JUDGED, public=0.9798)
    leaderboard.record(board, submission, JUDGED, sentence="longer | histories\nhelp")
    (row,) = leaderboard.rows_of(board, "sample")
    assert row["public"] == "0.97980"
    assert row["sentence"] == "longer | histories help"
    assert leaderboard.rows_of(board, "other") == []


def test_an_older_table_gains_the_columns_it_lacks_and_words_around_it_stay(tmp_path, submission):
    board = tmp_path / "LEADERBOARD.md"
    board.write_text(OLD)
    leaderboard.record(board, submission, JUDGED)
    old, new = leaderboard.rows_of(board, "sample")
    assert (old["public"], old["sentence"]) == ("0.97000", "-")
    assert new["submission"] == "sample/research-1"
    text = board.read_text()
    assert text.startswith("# Ours\n\n| date |")
    assert text.endswith("\nA word below.\n")


def test_figures_are_read_as_they_were_written():
    assert leaderboard.number("0.88500 ± 0.01000") == 0.885
    assert leaderboard.number("-") is None
