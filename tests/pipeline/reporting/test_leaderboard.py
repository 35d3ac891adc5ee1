"""submissions/leaderboard.csv, and LEADERBOARD.md that is rendered from it."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from features.errors import InputError
from pipeline.reporting import leaderboard
from pipeline.runs.board import LATER, SCHEMA, of_data, of_profile, public_scores, read

SCORES = {
    "rows": [
        {"name": "best_single", "cv": 0.88, "sd": 0.01, "valid": 0.87, "hidden": None},
        {"name": "hill_climbing", "cv": 0.885, "sd": 0.01, "valid": 0.875, "hidden": None},
        {"name": "slate_mean", "cv": 0.95, "sd": 0.01, "valid": 0.94, "hidden": None},
    ],
    "without_slates": None,
    "submitted": "hill_climbing",
    "chosen_by": "nested CV",
    "bayes": None,
    "bayes_slates": None,
    "tuned": [],
}
for row in SCORES["rows"]:
    row["slates"] = row["name"] == "slate_mean"
NAME = "sample/research-1"
HEAD = ",".join(SCHEMA)
ROW = f"2026-01-01,{NAME},1a2b,abc,research,hill_climbing,no,settings,,2 fits,"
ROW += "0.88,0.01,0.87,,,,words,./run_all.sh"
OLD_FILE = """# Leaderboard

| date | submission | rules | public |
| --- | --- | --- | --- |
| 2026-01-01 | sample/research-old | research | 0.97000 |

A remark.
"""


@pytest.fixture
def submission(tmp_path) -> Path:
    folder = tmp_path / NAME
    folder.mkdir(parents=True)
    manifest = {
        "commit": "abc", "rules": "research", "blend": "hill_climbing",
        "weights": {"din": 0.3, "qin": 0.7, "final": 0.0}, "runs": ["qin-seed0-fold0-1", "din-2"],
        "external": None, "data": "3f2a1b9c", "typed": "./run_all.sh sample",
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "artifact.json").write_text('{"made": "2026-01-02T10:30:05"}')
    return folder


@pytest.fixture
def board(tmp_path) -> Path:
    return tmp_path / "leaderboard.csv"


def change_manifest(submission: Path, **changes) -> None:
    manifest = json.loads((submission / "manifest.json").read_text()) | changes
    (submission / "manifest.json").write_text(json.dumps(manifest))


def markdown(board: Path) -> list[str]:
    return board.with_name("LEADERBOARD.md").read_text(encoding="utf-8").splitlines()


def test_a_row_says_what_is_submitted_and_what_it_gains(board, submission):
    leaderboard.record(board, submission, SCORES)
    (row,) = of_profile(board, "sample").to_dicts()
    assert tuple(row) == tuple(SCHEMA)
    assert (row["cv"], row["sd"], row["hidden"], row["public"]) == (0.885, 0.01, None, None)
    expected = "qin 0.70 + din 0.30; nested CV +0.00500 against the best single network"
    assert row["sentence"] == expected
    assert (row["slates"], row["chosen_by"], row["tuned"]) == ("no", "nested CV", None)
    cells = f"| 2 fits: din, qin | 0.88500* ± 0.01000 | 0.87500 | - | - | - | {expected} |"
    cells += " ./run_all.sh sample |"
    assert row["date"] == "2026-01-02 10:30"
    assert markdown(board)[-1].endswith(cells)
    assert markdown(board)[-1].count("|") == len(leaderboard.TITLES) + 1
    before = [path.stat().st_mtime_ns for path in sorted(board.parent.glob("*.*"))]
    leaderboard.record(board, submission, SCORES)
    assert [path.stat().st_mtime_ns for path in sorted(board.parent.glob("*.*"))] == before


def test_a_folder_whose_name_looks_like_a_pattern_is_read(tmp_path, submission):
    board = tmp_path / "s[1]" / "leaderboard.csv"
    board.parent.mkdir()
    leaderboard.record(board, submission, SCORES)
    assert read(board)["submission"].to_list() == [NAME]


def test_a_row_says_which_scores_are_biased(board, submission):
    change_manifest(submission, external={"file": "theirs.csv"})
    leaderboard.record(board, submission, SCORES | {"tuned": ["qin"]})
    sentence = read(board)["sentence"][0]
    assert "mixed with theirs.csv, which nothing has validated" in sentence
    assert sentence.endswith("settings of qin: compare by official valid instead of CV.")


STRICT = {"cv": None, "sd": None, "valid": 0.875, "hidden": None}


@pytest.mark.parametrize(
    ("figures", "chosen_by", "tuned", "cells"),
    [
        ({}, "nested CV", [], "nested CV | - | 2 fits: din, qin | 0.88500* ± 0.01000 | 0.87500 |"),
        ({}, "settings", [], "settings | - | 2 fits: din, qin | 0.88500 ± 0.01000 | 0.87500 |"),
        ({}, "settings", ["din", "qin"], "| din, qin | 2 fits: din, qin | 0.88500* ± 0.01000 |"),
        (STRICT, "official valid", [], "official valid | - | 2 fits: din, qin | - | 0.87500* |"),
        (STRICT, "settings", ["qin"], "settings | qin | 2 fits: din, qin | - | 0.87500* |"),
    ],
)
def test_a_score_that_chose_something_has_a_star(
    board, submission, figures, chosen_by, tuned, cells
):
    rows = [row | figures for row in SCORES["rows"]]
    leaderboard.record(
        board, submission, SCORES | {"rows": rows, "chosen_by": chosen_by, "tuned": tuned}
    )
    assert cells in markdown(board)[-1]
    (row,) = read(board).to_dicts()
    assert (row["chosen_by"], row["tuned"]) == (chosen_by, ", ".join(tuned) or None)


def test_a_submission_that_compares_slates_says_so_and_what_is_reached_without(board, submission):
    slates = SCORES | {"submitted": "slate_mean", "without_slates": "hill_climbing"}
    slates |= {"bayes": 0.92, "bayes_slates": 0.97}
    change_manifest(submission, blend="slate_mean", weights={"slate_lightgbm": 0.5})
    leaderboard.record(board, submission, slates)
    (row,) = read(board).to_dicts()
    assert (row["slates"], row["bayes"]) == ("yes", 0.97)
    assert row["sentence"].startswith("slate_mean; nested CV +0.07000 against")
    alone = "; without slates: hill_climbing 0.88500 CV, 0.87500 valid"
    assert row["sentence"].endswith(alone)
    assert "| slate_mean | yes | nested CV |" in markdown(board)[-1]


def test_a_board_without_the_later_columns_is_read_and_completed(board, submission):
    later = {i for i, name in enumerate(HEAD.split(",")) if name in LATER}
    old = [
        ",".join(cell for i, cell in enumerate(line.split(",")) if i not in later)
        for line in (f"{HEAD},medal", f"{ROW},gold".replace("research-1", "research-0"))
    ]
    board.write_text("\n".join(old))
    leaderboard.record(board, submission, SCORES)
    first, second = read(board).to_dicts()
    assert [first[name] for name in LATER] == [None] * len(LATER)
    assert first["cv"] == 0.88
    assert (first["medal"], second["medal"]) == ("gold", None)
    assert second["chosen_by"] == "nested CV"
    assert board.read_text().splitlines()[0] == f"{HEAD},medal"
    assert "| hill_climbing | - | - | - | 2 fits | 0.88000 ± 0.01000 |" in "".join(markdown(board))


@pytest.mark.parametrize("weights", [None, "lightgbm.txt"])
def test_a_blend_without_weights_is_named(board, submission, weights):
    change_manifest(submission, weights=weights)
    leaderboard.record(board, submission, SCORES)
    assert read(board)["sentence"][0].startswith("hill_climbing; nested")


def test_public_score_and_sentence_are_set_in_the_row_that_is_there(board, submission):
    leaderboard.record(board, submission, SCORES)
    assert public_scores(board, "sample") == {}
    leaderboard.record(board, submission, SCORES, public=0.9798)
    leaderboard.record(board, submission, SCORES, sentence='longer | "histories"\nhelp, 12\\|4')
    (row,) = read(board).to_dicts()
    assert row["public"] == 0.9798
    assert row["sentence"] == 'longer | "histories" help, 12\\|4'
    assert public_scores(board, "sample") == {NAME: "0.97980"}
    assert public_scores(board, "other") == {}
    assert markdown(board)[-1].endswith(
        '| 0.97980 | longer \\| "histories" help, 12\\\\\\|4 | ./run_all.sh sample |'
    )


def test_what_people_change_in_the_csv_stays_and_is_rendered(board, submission):
    leaderboard.record(board, submission, SCORES)
    head, row = board.read_text().splitlines()
    start = row.replace("abc", "def").partition("0.875,")[0]
    by_hand = f"{start}0.875,,,0.97,mine,by hand"
    board.write_bytes(f"\ufeff{head},medal\r\n{by_hand},gold\r\n\r\n".encode())  # as Excel does
    leaderboard.record(board, submission, SCORES)
    assert read(board)["medal"].to_list() == ["gold"]
    assert "| def |" in markdown(board)[-1]
    assert markdown(board)[-1].endswith("| 0.97000 | mine | by hand |")
    other = submission.with_name("research-2")
    submission.rename(other)
    leaderboard.record(board, other, SCORES)
    assert read(board)["medal"].to_list() == ["gold", None]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("\n", "empty"),
        (OLD_FILE, "no column date, submission"),
        (f"{HEAD}\n{ROW}".replace(",", ":"), "no column date, submission"),
        (f"{HEAD},public\n{ROW}", "two columns have one name"),
        (f"{HEAD}\n{ROW}".replace("0.88", "88000"), "column cv holds '88000'"),
        (f"{HEAD}\n{ROW}".replace("0.87", "high"), "column valid holds 'high'"),
        (f"{HEAD}\n{ROW}".replace("0.87", "nan"), "column valid holds 'nan'"),
        (f"{HEAD}\n{ROW}\n{ROW}", f"{NAME} has several rows"),
        (f"{HEAD}\n{ROW},more,cells", "a row holds 20 cells, more than the 18 columns"),
        (f"{HEAD}\n{ROW}".replace("words", '"words'), "a quotation mark is not closed"),
        (f"{HEAD}\n{ROW}".replace(NAME, ""), "does not name its submission"),
        (b"\xff\xfe\x00" + HEAD.encode(), "no text in UTF-8"),
        (HEAD + "\n" + "a" * 200_000, "field larger than field limit"),
    ],
)
def test_a_broken_csv_is_refused_and_left_as_it_is(board, submission, text, problem):
    broken = text if isinstance(text, bytes) else text.encode()
    board.write_bytes(broken)
    with pytest.raises(InputError) as refused:
        leaderboard.record(board, submission, SCORES)
    message = str(refused.value)
    assert message.startswith(f"{board}: ")
    assert problem in message
    assert "expected a CSV with the columns date, submission," in message
    assert "Correct it, or move it away" in message
    assert board.read_bytes() == broken
    assert sorted(path.name for path in board.parent.iterdir()) == ["leaderboard.csv", "sample"]


def test_a_file_of_an_older_version_is_kept_aside(board, submission, capsys):
    old = board.with_name("LEADERBOARD.md")
    old.write_text(OLD_FILE)
    leaderboard.record(board, submission, SCORES)
    assert read(board)["submission"].to_list() == [NAME]
    assert board.with_name("LEADERBOARD-old.md").read_text() == OLD_FILE
    assert "is kept as LEADERBOARD-old.md" in capsys.readouterr().out
    leaderboard.record(board, submission, SCORES, public=0.9)
    assert capsys.readouterr().out == ""
    old.write_text("another")
    leaderboard.record(board, submission, SCORES)
    assert board.with_name("LEADERBOARD-old.md").read_text() == OLD_FILE
    assert board.with_name("LEADERBOARD-old-2.md").read_text() == "another"
    assert markdown(board)[0] == "# Leaderboard"


PADDED = {
    "cells": lambda cell, width: cell.ljust(width),
    "quoted cells": lambda cell, width: f'"{cell}"'.rjust(width + 2) + "  ",
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("pad", PADDED.values(), ids=PADDED)
def test_a_board_that_an_editor_formatted_is_read_as_it_was(board, submission, pad, separator):
    leaderboard.record(board, submission, SCORES, sentence='a "b", c; d')
    before, rows = read(board), list(csv.reader(board.read_text(encoding="utf-8").splitlines()))
    quoted = [[cell.replace('"', '""') for cell in row] for row in rows]
    lines = [
        separator.join(
            PADDED["quoted cells"](cell, 20) if set(cell) & set('",;') else pad(cell, 20)
            for cell in row
        )
        for row in quoted
    ]
    board.write_text("\r\n".join([*lines, "", ""]), encoding="utf-8-sig")
    assert read(board).equals(before)
    leaderboard.record(board, submission, SCORES)
    assert read(board).equals(before)
    assert board.read_text(encoding="utf-8").startswith("date,submission,")


def test_a_rendered_board_that_an_editor_formatted_is_rendered_again(board, submission, capsys):
    leaderboard.record(board, submission, SCORES)
    path = board.with_name("LEADERBOARD.md")
    rendered = path.read_text(encoding="utf-8")
    path.write_text(
        rendered.replace("from leaderboard.csv", "from\nleaderboard.csv").replace(
            "| --- |", "| :---------- |"
        ),
        encoding="utf-8",
    )
    leaderboard.record(board, submission, SCORES)
    assert path.read_text(encoding="utf-8") == rendered
    assert sorted(one.name for one in board.parent.glob("*.*")) == [path.name, board.name]
    assert capsys.readouterr().out == ""


def test_runs_on_different_data_stand_in_different_tables(board, submission):
    names = {"research-1": "3f2a1b9c", "research-2": None, "research-3": "ffffffff"}
    for name, data in [*names.items(), ("research-4", "3f2a1b9c")]:
        other = submission.with_name(name)
        if name != submission.name:
            shutil.copytree(submission, other)
        change_manifest(other, data=data)
        leaderboard.record(board, other, SCORES)
    lines = markdown(board)
    headings = [line for line in lines if line.startswith("#")]
    tables = ["## Data 3f2a1b9c", "## sample, data not recorded", "## Data ffffffff"]
    assert headings == ["# Leaderboard", *tables]
    assert ["sample/research-" in line for line in lines].count(True) == 4
    first = lines[lines.index(tables[0]) : lines.index(tables[1])]
    assert [line.split(" | ")[1] for line in first if "research-" in line] == [
        "sample/research-1",
        "sample/research-4",
    ]
    comparable = of_data(board, "sample", "ffffffff")["submission"].to_list()
    assert comparable == ["sample/research-2", "sample/research-3"]
