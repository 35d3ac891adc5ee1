"""Writing a submission: joined by ID, checked, the same bytes again."""

import io
import zipfile

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from submissions.write import write_submission
from tests.helpers.submission_files import IDS


@pytest.fixture
def written(tmp_path):
    """Writes scores (N,) of the test rows 0 .. N - 1, or of other IDs; returns the folder."""

    def write(score, name="out", ids=None, test_ids=None):
        ids = np.arange(len(score)) if ids is None else np.asarray(ids)
        test = tmp_path / "test.parquet"
        pl.DataFrame({"ID": ids if test_ids is None else test_ids}).write_parquet(test)
        scores = pl.DataFrame({"ID": ids, "Task2": np.asarray(score)})
        return tmp_path / name, write_submission(tmp_path / name, scores, test)

    return write


def test_the_file_with_the_ids_is_never_overwritten(tmp_path):
    ids = pl.DataFrame({"ID": np.arange(9)})
    ids.write_csv(tmp_path / "prediction.csv")
    scores = ids.with_columns(Task2=pl.col("ID") / 10)
    with pytest.raises(InputError, match="or a part of it, which is read"):
        write_submission(tmp_path, scores, tmp_path / "prediction.csv")
    assert pl.read_csv(tmp_path / "prediction.csv").columns == ["ID"]


def test_warns_of_ties_but_passes(written):
    score = np.linspace(0, 1, 100)
    score[:6] = 0.5
    _, report = written(score)
    assert report.errors == []
    assert report.tied == 0.06
    assert report.warnings[0].startswith("6.0% of the scores are tied")
    score[:2] = [0.001, 0.002]
    assert written(score)[1].warnings == []


def test_what_is_written_reads_back_exactly_and_keeps_distinct_scores_distinct(written):
    rng = np.random.default_rng(0)
    tight = 1 - np.arange(1, 200) * 2.0**-53  # neighbours in float64
    score = np.concatenate([tight, rng.random(2000), 10.0 ** -rng.uniform(3, 300, 100), [0.0, 1.0]])
    folder, _ = written(score, "new/folder")
    with zipfile.ZipFile(folder / "submission.zip") as opened:
        assert opened.namelist() == ["prediction.csv"]
        text = opened.read("prediction.csv")
    assert text == (folder / "prediction.csv").read_bytes()
    table = np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1)
    assert np.array_equal(table[:, 1], score)
    assert text.startswith(b"ID,Task2\n0,")


def test_float32_scores_stay_distinct(written):
    score = np.float32(1) - np.arange(1, 50, dtype=np.float32) * np.float32(2**-24)
    assert written(score)[1].tied == 0.0


def test_equal_scores_give_equal_bytes(written):
    a, b = (written([0.1, 0.2, 0.3, 0.4], name)[0] / "submission.zip" for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    with zipfile.ZipFile(a) as opened:
        assert opened.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_scores_in_any_order_give_the_bytes_of_the_test_files_order(written):
    score, test_ids = np.random.default_rng(0).random(50), np.arange(50) * 7 % 50
    in_order, _ = written(score[test_ids], "in_order", test_ids, test_ids)
    shuffled, _ = written(score, "shuffled", np.arange(50), test_ids)
    for name in ("prediction.csv", "submission.zip"):
        assert (shuffled / name).read_bytes() == (in_order / name).read_bytes()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 1, 3], "each of 4 test IDs; no score for ID 2"),
        ([], "no score for ID 0, 1, 2, 3"),
        ([0, 1, 1, 2, 3], "several scores for ID 1"),
        ([0, 1, 1, 3], "no score for ID 2; several scores for ID 1"),
        ([4, 0, 1, 2, 3], "no test row for ID 4"),
        ([3, 1, 2, 0, *range(10, 20)], "no test row for ID 10, 11, 12, 13, 14 and 5 more"),
    ],
)
def test_missing_doubled_and_extra_ids_are_refused_by_name(written, tmp_path, ids, message):
    score = np.linspace(0.1, 0.9, len(ids))
    with pytest.raises(InputError, match=message):
        written(score, ids=np.array(ids, np.int64), test_ids=IDS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ([0.1, np.nan, 0.3, 0.4], "got Task2 'NaN'"),
        ([0.1, 1.2, 0.3, 0.4], "got Task2 '1.2'"),
        ([0.5, 0.5, 0.5, 0.5], "all 4 scores"),
    ],
)
def test_refused_scores_leave_nothing_behind(written, tmp_path, score, message):
    with pytest.raises(InputError, match=message):
        written(score)
    assert list((tmp_path / "out").iterdir()) == []
