import contextlib
import io
import subprocess
import sys
import zipfile

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from submissions import archive
from submissions.check import check, main, read_ids
from submissions.write import write_submission

IDS = np.arange(4)
GOOD = b"ID,Task2\n0,0.1\n1,0.25\n2,1\n3,0\n"


def csv(tmp_path, data, name="scores.txt"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def zipped(tmp_path, *files, name="upload.zip"):
    """A zip of (name, bytes) pairs, as they are: also ones that no archiver would write."""
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for entry, data in files:
            out.writestr(entry, data)
    return path


@pytest.mark.parametrize("data", [GOOD, GOOD.replace(b"\n", b"\r\n"), GOOD.rstrip()])
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
        (b"ID,Task1\n0,0.1\n", "missing: Task2; not expected: Task1"),
        (b"ID,Task2,Task1\n0,0.1,0\n", "not expected: Task1"),
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


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "got 0 files prediction.csv"),
        ([("mine/", b""), ("mine/prediction.csv", GOOD)], "lies in a folder"),
        ([("mine\\prediction.csv", GOOD)], "lies in a folder"),
        ([("predictions.csv", GOOD)], "'predictions.csv' does not belong"),
        ([("Prediction.csv", GOOD)], "'Prediction.csv' does not belong"),
        ([("prediction.csv", GOOD), ("notes.txt", b"x")], "'notes.txt' does not belong"),
        ([("../prediction.csv", GOOD)], "points outside"),
        ([("/prediction.csv", GOOD)], "points outside"),
        ([("C:\\prediction.csv", GOOD)], "points outside"),
    ],
)
def test_refuses_the_zip(tmp_path, files, message):
    errors = check(zipped(tmp_path, *files), IDS).errors
    assert any(message in error for error in errors), errors


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_two_files_of_the_same_name(tmp_path):
    path = zipped(tmp_path, ("prediction.csv", GOOD), ("prediction.csv", GOOD))
    assert check(path, IDS).errors == [
        "got 2 files prediction.csv at the root of the zip; expected exactly one"
    ]


def test_refuses_what_would_unpack_to_an_absurd_size_without_unpacking(tmp_path, monkeypatch):
    path = zipped(tmp_path, ("prediction.csv", GOOD))
    monkeypatch.setattr(archive, "MAX_BYTES", len(GOOD) - 1)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    assert "would unpack to" in check(path, IDS).errors[0]


def test_refuses_an_encrypted_zip(tmp_path):
    data = bytearray(zipped(tmp_path, ("prediction.csv", GOOD)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    assert "encrypted" in check(csv(tmp_path, bytes(data)), IDS).errors[0]


def test_refuses_a_compression_that_not_every_unzip_reads(tmp_path):
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as out:
        out.writestr("prediction.csv", GOOD)
    assert "compression method" in check(path, IDS).errors[0]


def test_a_broken_zip_is_refused_wherever_it_is_broken(tmp_path):
    whole = zipped(tmp_path, ("prediction.csv", GOOD)).read_bytes()
    rng = np.random.default_rng(0)
    cut = [whole[:n] for n in range(len(whole))]
    flipped = []
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(len(data), size=2)] ^= rng.integers(1, 256, 2).astype(np.uint8)
        flipped.append(data.tobytes())
    for data in cut + flipped:
        with contextlib.suppress(InputError):
            assert archive.extract(data) == GOOD  # a byte that no reader looks at
    assert (
        check(csv(tmp_path, b"nothing of a zip", "upload.zip"), IDS)
        .errors[0]
        .startswith("the zip is broken")
    )


def test_warns_of_ties_but_passes(tmp_path):
    score = np.linspace(0, 1, 100)
    score[:6] = 0.5
    report = check(write_submission(tmp_path, np.arange(100), score), np.arange(100))
    assert report.errors == []
    assert report.tied == 0.06
    assert report.warnings[0].startswith("6.0% of the scores are tied")
    score[:2] = [0.001, 0.002]
    assert check(write_submission(tmp_path, np.arange(100), score)).warnings == []


def test_what_is_written_reads_back_exactly_and_keeps_distinct_scores_distinct(tmp_path):
    rng = np.random.default_rng(0)
    tight = 1 - np.arange(1, 200) * 2.0**-53  # neighbours in float64
    score = np.concatenate([tight, rng.random(2000), 10.0 ** -rng.uniform(3, 300, 100), [0.0, 1.0]])
    path = write_submission(tmp_path / "new" / "folder", np.arange(len(score)), score)
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == ["prediction.csv"]
        text = opened.read("prediction.csv")
    assert text == (path.parent / "prediction.csv").read_bytes()
    table = np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1)
    assert np.array_equal(table[:, 1], score)
    assert text.startswith(b"ID,Task2\n0,")


def test_float32_scores_stay_distinct(tmp_path):
    score = np.float32(1) - np.arange(1, 50, dtype=np.float32) * np.float32(2**-24)
    assert check(write_submission(tmp_path, np.arange(49), score)).tied == 0.0


def test_equal_scores_give_equal_bytes(tmp_path):
    score = np.array([0.1, 0.2, 0.3, 0.4])
    a, b = (write_submission(tmp_path / name, IDS, score) for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    with zipfile.ZipFile(a) as opened:
        assert opened.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("ids", "score", "message"),
    [
        (IDS, [0.1, np.nan, 0.3, 0.4], "got Task2 'NaN'"),
        (IDS, [0.1, 1.2, 0.3, 0.4], "got Task2 '1.2'"),
        (IDS, [0.5, 0.5, 0.5, 0.5], "all 4 scores"),
        (np.array([0, 1, 1, 3]), [0.1, 0.2, 0.3, 0.4], "every ID once"),
        (IDS, [0.1, 0.2, 0.3], r"\(4,\) and \(3,\)"),
    ],
)
def test_write_refuses_and_leaves_nothing(tmp_path, ids, score, message):
    with pytest.raises(InputError, match=message):
        write_submission(tmp_path, ids, np.array(score))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ids_file(tmp_path):
    path = tmp_path / "test.parquet"
    pl.DataFrame({"ID": IDS, "item_id": IDS + 9}).write_parquet(path)
    return path


def test_command_line_passes(tmp_path, ids_file, capsys):
    path = zipped(tmp_path, ("prediction.csv", GOOD))
    assert main([str(path), "--ids", str(ids_file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok: 4 rows, 0.0 % tied"


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


def test_refuses_ids_that_are_no_table(tmp_path):
    with pytest.raises(InputError, match=r"ids\.parquet: expected"):
        read_ids(csv(tmp_path, b"text", "ids.parquet"))
