"""Data sets with published shapes and made-up values."""

import csv
import gzip

import polars as pl
import pytest
import torch

from bench.fields.data.generate import generate, main, with_rows_of_train
from bench.fields.data.schema import find
from bench.fields.data.store import open_fields
from bench.fields.data.writing import stored
from bench.fields.settings import Data, Rows, data_set
from cv.auc import auc
from pipeline.artifacts.spec import record

ROWS = {"train": 4000, "valid": 800, "test": 700}
SMALL = Data(
    label="label", numeric=("x",), categorical=("a", "b", "c"), sizes=(7, 302, 9002),
    rows=Rows(**ROWS),
)  # fmt: skip


def test_fewer_rows_are_shared_out_as_the_published_ones():
    smaller = with_rows_of_train(data_set("criteo_x1").data, 3_300_332)
    assert smaller.rows == Rows(train=3_300_332, valid=825_012, test=458_717)
    assert with_rows_of_train(smaller, 100).rows == Rows(train=100, valid=100, test=100)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_the_files_hold_the_shape_in_every_format(tmp_path, kind):
    files = generate(SMALL, tmp_path / "data", kind)
    assert find(tmp_path / "data") == files
    path = stored(files, SMALL, tmp_path / "out")
    data = open_fields(path)
    assert data.sizes[:2] == [7, 302]  # every value that the rows have room for
    assert {split: len(label) for split, label in data.label.items()} == ROWS
    others = [(data.rows[s].columns[:, 0] == 6).sum().item() for s in ("train", "valid", "test")]
    assert others[0] == 0
    assert sum(others[1:]) < 12
    again = stored(generate(SMALL, tmp_path / "again", "csv"), SMALL, tmp_path / "other")
    assert record(path)["digest"] == record(again)["digest"]  # the same bytes, and the same fits


def test_labels_follow_from_the_fields_and_seeds_differ(tmp_path):
    tables = [pl.read_csv(generate(SMALL, tmp_path / str(s), seed=s)["train"]) for s in (0, 1)]
    assert not tables[0].equals(tables[1])
    train = tables[0]
    valid = pl.read_csv(tmp_path / "0" / "valid.csv")
    rate = train.group_by("a").agg(pl.col("label").mean().alias("rate"))
    found = valid.join(rate, on="a", how="inner")
    score = auc(
        torch.tensor(found["label"].to_list()).float(), torch.tensor(found["rate"].to_list())
    )
    assert score > 0.53


def test_the_command_writes_a_data_set(tmp_path, capsys):
    arguments = ["frappe_x1", "--out", str(tmp_path / "f"), "--rows-of-train", "500"]
    assert main([*arguments, "--format", "csv.gz"]) == 0
    assert "train.csv.gz: 500 rows, " in capsys.readouterr().out
    with gzip.open(tmp_path / "f" / "train.csv.gz", "rt", encoding="utf-8") as stream:
        header = next(csv.reader(stream))
    assert header == ["label", *data_set("frappe_x1").data.categorical]
    assert main([*arguments[:-1], "5"]) == 2
    assert capsys.readouterr().err.startswith("error: --rows-of-train 5: expected 100 or more")


@pytest.mark.parametrize("name", ["train.csv", "valid.csv.gz", "test.parquet"])
def test_files_that_are_there_stay_and_nothing_is_written(tmp_path, capsys, name):
    (tmp_path / name).write_text("real", encoding="utf-8")
    assert main(["frappe_x1", "--out", str(tmp_path), "--rows-of-train", "100"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: got {tmp_path / name}; expected a folder without files of")
    assert error.count("\n") == 1
    assert [(p.name, p.read_text("utf-8")) for p in tmp_path.iterdir()] == [(name, "real")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frappe_x1", "--seed", "-1"], "error: --seed -1: expected 0 or more, below 2^63\n"),
        (["criteo_x2"], "error: got the data set 'criteo_x2', did you mean 'criteo_x1'?"),
    ],
)
def test_bad_options_are_one_line(tmp_path, capsys, arguments, message):
    assert main([*arguments, "--out", str(tmp_path / "f")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert "--schema" not in error
    assert error.count("\n") == 1
    assert not (tmp_path / "f").exists()
