"""The check of a submission's table, and its command line."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from submissions.check import check, main, read_ids
from tests.helpers.submission_files import GOOD, IDS, csv, zipped

GOOD_THREE = b"ID,Task1,Task2,Task1&2\n0,0,0.1,0.2\n1,0,0.25,0.3\n2,0,1,0.9\n3,0,0,0.4\n"


@pytest.mark.parametrize("data", [GOOD, GOOD.replace(b"\n", b"\r\n"), GOOD.rstrip(), GOOD_THREE])
def test_a_good_file_passes_bare_and_zipped(tmp_path, data):
    for path in (csv(tmp_path, data), zipped(tmp_path, ("prediction.csv", data))):
        report = check(path, IDS)
        assert (report.errors, report.warnings, report.rows, report.tied) == ([], [], 4, 0.0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"ID,Task2", "no rows below its header"),
        (b"ID,Task2\n", "no rows below its header"),
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (GOOD.replace(b"0.25", b"0.2\xff"), "line 3 is not UTF-8"),
        (GOOD.decode().encode("utf-16"), "line 1 is not UTF-8"),
        (b"ID,Task1\n0,0.1\n", "missing: Task2; Task1 is there: choose it with --task"),
        (b"ID,Task2,Task3\n0,0.1,0\n", "not expected: Task3"),
        (b"ID,Task2,task1\n0,0.1,0\n", "not expected: task1"),
        (b"Task1,ID,Task2\n0,0,0.1\n", "in another order"),
        (GOOD_THREE.replace(b"0.3", b""), "line 3: got Task1&2 '', expected a number"),
        (GOOD_THREE.replace(b"1,0,0.25", b"1,0.25"), "got '1,0.25,0.3', expected 4 cells"),
        (
            b"ID,Task1&2,Task2\n0,0.1,0\n1,0.2,0\n2,0.3,0\n3,0.4,0\n",
            "all 4 scores are 0; expected scores that rank the rows; Task1&2 does: choose it with",
        ),
        (b"ID,Task2,Task2\n0,0.1,0\n", "not expected: Task2"),
        (b"Task2\n0.1\n", "missing: ID"),
        (b"Task2,ID\n0.1,0\n", "in another order"),
        (b"0,0.1\n1,0.2\n", "missing: ID, Task2"),
        (GOOD.replace(b"1,0.25", b"1,0.25,7"), "line 3: got '1,0.25,7', expected 2 cells"),
        (GOOD.replace(b"1,0.25", b"1"), "line 3: got '1', expected 2 cells"),
        (GOOD.replace(b"2,1\n", b""), "1 are missing, first 2"),
        (GOOD.replace(b"2,1\n", b"1,1\n"), "line 4: got ID '1', expected every ID once"),
        (GOOD.replace(b"3,0\n", b"4,0\n"), "line 5: got ID '4', expected only IDs of the test"),
        (GOOD + b"4,0.3\n", "line 6: got ID '4', expected only IDs of the test"),
        (GOOD.replace(b"1,0.25\n2,1", b"2,1\n1,0.25"), "line 3: got ID '2', expected the order"),
        (GOOD.replace(b"1,0.25", b",0.25"), "line 3: got ID '', expected an integer"),
        (GOOD.replace(b"1,0.25", b"1.0,0.25"), "line 3: got ID '1.0', expected an integer"),
        (GOOD.replace(b"0.25", b"NaN"), "line 3: got Task2 'NaN', expected a number"),
        (GOOD.replace(b"0.25", b""), "line 3: got Task2 '', expected a number"),
        (GOOD.replace(b"0.25", b"null"), "line 3: got Task2 'null', expected a number"),
        (GOOD.replace(b"0.25", b"high"), "line 3: got Task2 'high', expected a number"),
        (GOOD.replace(b"0.25", b'"0.25"'), "got Task2 '\"0.25\"', expected a number"),
        (GOOD.replace(b"0.25", b"-0.01"), "line 3: got Task2 '-0.01', expected values in [0, 1]"),
        (GOOD.replace(b"0.25", b"1.01"), "line 3: got Task2 '1.01', expected values in [0, 1]"),
        (GOOD.replace(b"0.25", b"inf"), "line 3: got Task2 'inf', expected values in [0, 1]"),
        (b"ID,Task2\n0,.5\n1,0.5\n2,.5\n3,.50\n", "all 4 scores are .5"),
        (b"ID,Task2\n0," + b"1" * 3_000_000 + b"\n", "not a csv"),
    ],
)
def test_refuses_the_table(tmp_path, data, message):
    for path in (csv(tmp_path, data), zipped(tmp_path, ("prediction.csv", data))):
        errors = check(path, IDS).errors
        assert any(message in error for error in errors), errors
        assert all("\n" not in error for error in errors)


def test_one_report_names_every_problem(tmp_path):
    data = b"ID,Task2\n0,nan\n0,2\n7,0.5\n"
    assert len(check(csv(tmp_path, data), IDS).errors) == 5


def test_without_ids_doubled_ones_are_still_refused(tmp_path):
    assert check(csv(tmp_path, b"ID,Task2\n7,0.1\n3,0.2\n")).errors == []
    assert "every ID once" in check(csv(tmp_path, b"ID,Task2\n7,0.1\n7,0.2\n")).errors[0]


@pytest.fixture
def ids_file(tmp_path):
    path = tmp_path / "test.parquet"
    pl.DataFrame({"ID": IDS, "item_id": IDS + 9}).write_parquet(path)
    return path


def test_command_line_passes(tmp_path, ids_file, capsys):
    path = zipped(tmp_path, ("prediction.csv", GOOD))
    assert main([str(path), "--ids", str(ids_file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok: 4 rows, 0.0 % tied"


def test_any_task_may_be_the_score_and_the_others_are_described(tmp_path, ids_file, capsys):
    path = str(zipped(tmp_path, ("prediction.csv", GOOD_THREE)))
    assert main([path, "--ids", str(ids_file), "--task", "Task1&2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Task1&2 is checked as the score; the leaderboard shows the best column:",
        "  Task1 holds 0 in every row",
        "  Task2 holds other scores, from 0 to 1",
        "ok: 4 rows, 0.0 % tied",
    ]
    assert main([path, "--task", "Task1"]) == 2
    assert "all 4 scores are 0;" in capsys.readouterr().out
    same = csv(tmp_path, GOOD_THREE.replace(b"Task1,Task2", b"Task2,Task1").replace(b",0,", b",1,"))
    assert main([str(same), "--task", "Task1"]) == 0
    only_first = csv(tmp_path, GOOD.replace(b"Task2", b"Task1"))
    assert main([str(only_first), "--ids", str(ids_file), "--task", "Task1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok: 4 rows, 0.0 % tied"


def test_equal_columns_are_said_to_be_equal(tmp_path):
    data = GOOD.replace(b"Task2", b"Task2,Task1").replace(b"0.25", b"0.25,0.250")
    data = data.replace(b"0,0.1", b"0,0.1,.1").replace(b"2,1", b"2,1,1").replace(b"3,0", b"3,0,0")
    assert check(csv(tmp_path, data), IDS).notes == ["Task1 holds the same scores"]


def test_command_line_says_when_ids_were_not_compared(tmp_path, capsys):
    assert main([str(csv(tmp_path, GOOD))]) == 0
    assert "not compared" in capsys.readouterr().out


def test_command_line_refuses_one_line_a_problem(tmp_path, ids_file):
    path = csv(tmp_path, b"ID,Task2\n0,nan\n0,2\n7,0.5\n")
    command = [sys.executable, "-m", "submissions.check", str(path), "--ids", str(ids_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    *problems, last = done.stdout.splitlines()
    assert [line.split(":")[0] for line in problems] == ["error"] * 5
    assert last == f"refused: {path}"


def test_command_line_refuses_absent_files(tmp_path, capsys):
    assert main([str(tmp_path / "nope.zip")]) == 2
    assert "nope.zip cannot be read" in capsys.readouterr().out


def test_ids_come_from_a_csv_as_well(tmp_path, ids_file):
    as_csv = csv(tmp_path, GOOD, "sample_submission.csv")
    assert np.array_equal(read_ids(as_csv), read_ids(ids_file))


@pytest.mark.parametrize("table", [{"user_id": [1, 2]}, {"ID": [1, 1]}, {"ID": [1, None]}])
def test_refuses_ids_that_are_none(tmp_path, table):
    path = tmp_path / "ids.parquet"
    pl.DataFrame(table).write_parquet(path)
    with pytest.raises(InputError, match=r"ids\.parquet: expected"):
        read_ids(path)


def test_says_that_a_file_of_ids_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"ids\.parquet: no such file; expected a parquet or csv"):
        read_ids(tmp_path / "ids.parquet")


def test_refuses_ids_that_are_no_table(tmp_path):
    with pytest.raises(InputError, match=r"ids\.parquet: expected"):
        read_ids(csv(tmp_path, b"text", "ids.parquet"))
