"""example.py, which lies in every export and is used without this project."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from models.serving.request import Request
from pipeline.inference import example
from pipeline.inference.example import ExportedNetwork, Refused
from pipeline.inference.export import Exported
from tests.helpers.networks.small import N_ITEMS, N_USERS

OURS = ("pipeline", "models", "features", "cv", "submissions", "torch", "polars")
ALONE = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({OURS}))  # importing one of these fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def folder(exported):
    return exported


def alone(folder, *arguments) -> subprocess.CompletedProcess:
    """example.py in a process that can import neither this project nor torch."""
    command = [sys.executable, "-I", "-c", ALONE, folder / "example.py", *arguments]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)


def rows_of(folder) -> pl.DataFrame:
    return pl.read_parquet(folder / "rows.parquet")


def test_it_scores_its_rows_as_the_trained_network_does(folder, tmp_path):
    done = alone(folder, "--out", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    assert "10 rows of" in done.stdout
    assert done.stdout.endswith("from the trained network\n")
    written, rows = pl.read_csv(tmp_path / "scores.csv"), rows_of(folder)
    assert written.columns == ["ID", "probability"]
    assert written["ID"].equals(rows["ID"])
    np.testing.assert_allclose(written["probability"], rows["expected"], rtol=0, atol=1e-6)
    assert rows["expected"].std() > 1e-3


def one(history=(1,), candidates=(2, 3), likes=(0, 10), views=(5, 5), user=0) -> dict:
    return {
        "history": history,
        "candidates": candidates,
        "likes": likes,
        "views": views,
        "user": user,
    }


WRONG = {
    "a long history": (one(history=[1] * 5), "history: got 5 items, expected at most 4"),
    "an unknown item": (one(candidates=(2, N_ITEMS)), f"candidates: got {N_ITEMS}, expected 1 .."),
    "a negative item": (one(candidates=(2, -1)), "candidates: got -1, expected 1 .."),
    "padding as candidate": (one(candidates=(2, 0)), "candidates: got 0, expected 1 .."),
    "an unknown item of the history": (one(history=[N_ITEMS]), f"history: got {N_ITEMS}, expected"),
    "a negative item of the history": (one(history=[1, -7]), "history: got -7, expected 1 .."),
    "a wrong level": (one(likes=(0, 11)), "likes: got 11, expected 0 .. 10"),
    "a negative level": (one(views=(-1, 1)), "views: got -1, expected 0 .. 10"),
    "half a level": (one(views=(0.5, 1)), "views: expected whole numbers, got (0.5, 1)"),
    "text": (one(candidates=("a", "b")), "candidates: expected whole numbers"),
    "a level too few": (one(likes=(1,)), "likes: 1 levels for 2 candidates"),
    "an unknown user": (one(user=N_USERS), f"user: got {N_USERS}, expected 0 .. {N_USERS - 1}"),
}


@pytest.mark.parametrize(("request_", "message"), WRONG.values(), ids=WRONG)
def test_wrong_inputs_are_refused_in_one_line(folder, request_, message):
    with pytest.raises(Refused) as refused:
        ExportedNetwork(folder).probabilities(**request_)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("n", [0, 1, 257])
def test_it_scores_as_our_own_reader_of_exports_does(folder, n):
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(1, N_ITEMS, (n,), generator=g)
    request = Request(torch.tensor([0, 3, 5]), ids, ids % 11, ids % 11, user=3)
    columns = (request.history, ids, request.likes, request.views)
    got = ExportedNetwork(folder).probabilities(*(c.tolist() for c in columns), user=3)
    if n:
        want = Exported(folder).score(request).double().sigmoid().numpy()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    assert got.shape == (n,)


def write(tmp_path, rows: pl.DataFrame):
    rows.write_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_long_histories_of_a_file_are_refused_or_cut(folder, tmp_path):
    rows = rows_of(folder)
    longer = rows.with_columns(item_seq=pl.concat_list(pl.lit([1] * 5), "item_seq"))
    path = write(tmp_path, longer)
    with pytest.raises(
        Refused, match=r"row 0 \(from 0\): history: got 5 items, expected at most 4"
    ):
        example.score(folder, path)
    padded = rows.with_columns(item_seq=pl.concat_list(pl.lit([0] * 9), "item_seq"))
    full = padded.filter(pl.col("item_seq").list.last() > 0)
    line = example.score(folder, write(tmp_path, full), cut=True)
    assert float(line.partition("at most ")[2].split()[0]) < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("item_id"), "has no column item_id"),
        (lambda rows: rows[:0], "has no rows"),
        (lambda rows: rows.with_columns(item_seq=None), "has nulls in item_seq, expected none"),
        (lambda rows: rows.with_columns(item_id=99), "row 0 (from 0): candidates: got 99"),
        (lambda rows: rows.with_columns(item_seq=7), "history: expected a list of item ids, got 7"),
    ],
)
def test_files_that_do_not_fit_end_with_one_line(
    folder, tmp_path, monkeypatch, capsys, change, message
):
    path = write(tmp_path, change(rows_of(folder)))
    assert message in fails(folder, monkeypatch, capsys, "--rows", path)


def fails(folder, monkeypatch, capsys, *arguments) -> str:
    monkeypatch.setattr(example, "HERE", folder)
    monkeypatch.setattr(sys, "argv", ["example.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        example.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_a_file_that_is_no_parquet_and_a_package_that_is_missing_are_one_line(
    folder, tmp_path, monkeypatch, capsys
):
    text = tmp_path / "rows.parquet"
    text.write_text("no parquet", encoding="utf-8")
    assert "arquet" in fails(folder, monkeypatch, capsys, "--rows", text)
    assert "none.parquet" in fails(folder, monkeypatch, capsys, "--rows", tmp_path / "none.parquet")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = fails(folder, monkeypatch, capsys, "--rows", folder / "rows.parquet")
    assert "pip install numpy onnxruntime pyarrow" in error


def test_its_output_is_never_its_input(folder, tmp_path):
    path = write(tmp_path, rows_of(folder))
    link, before = tmp_path / "link.csv", path.read_bytes()
    link.symlink_to(path)
    for out in (path, link):
        with pytest.raises(Refused, match="is the file of the rows: name another"):
            example.score(folder, path, out)
    assert path.read_bytes() == before


def test_the_copy_is_the_file_that_is_tested(folder):
    assert (folder / "example.py").read_bytes() == Path(example.__file__).read_bytes()
