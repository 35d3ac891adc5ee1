"""Schemas of fields and the files of a folder."""

import pytest

from bench.fields.data.schema import Md5, Schema, find
from features.errors import InputError
from pipeline.config.schema import checked

TABLE = {"label": "y", "categorical": ["a", "b"], "numeric": ["x"]}


def test_a_table_becomes_a_schema():
    table = TABLE | {"min_count": 3, "scale": "min_max", "md5": {"valid": "0" * 32}}
    got = checked(Schema, table, "data")
    assert got == Schema(
        label="y", categorical=("a", "b"), numeric=("x",), min_count=3, scale="min_max",
        md5=Md5(valid="0" * 32),
    )  # fmt: skip
    assert got.columns == ("y", "x", "a", "b")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"categorical": []}, "data.categorical must hold at least one value"),
        ({"numeric": ["a"]}, "data: 'a': named twice; a column has one use"),
        ({"categorical": ["a", "a"]}, "data: 'a': named twice"),
        ({"numeric": ["y"]}, "data: 'y': named twice"),
        ({"min_count": 0}, r"data.min_count = 0 must be a whole number in \[1, inf\)"),
        ({"scale": "log"}, "data.scale = 'log' must be one of none, standard, min_max"),
        ({"md5": {"all": "0" * 32}}, "unknown key 'data.md5.all'"),
        ({"labels": "y"}, "unknown key 'data.labels', did you mean 'data.label'"),
    ],
)
def test_a_wrong_schema_is_named(changed, message):
    with pytest.raises(InputError, match=message):
        checked(Schema, TABLE | changed, "data")


def test_a_schema_needs_label_and_categorical():
    with pytest.raises(InputError, match=r"missing key 'data.label'; missing key 'data.cat"):
        checked(Schema, {}, "data")


def test_a_split_has_one_file_in_any_format(tmp_path):
    for name in ("train.csv", "valid.csv.gz", "test.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "valid.csv").mkdir()
    found = {split: path.name for split, path in find(tmp_path).items()}
    assert found == {"train": "train.csv", "valid": "valid.csv.gz", "test": "test.parquet"}


def test_several_files_of_a_split_are_refused_by_name(tmp_path):
    for name in ("train.parquet", "train.csv", "valid.csv.gz", "test.csv.gz", "test.parquet"):
        (tmp_path / name).touch()
    message = "holds train.csv, train.parquet, test.csv.gz, test.parquet; expected one file of"
    with pytest.raises(InputError, match=message):
        find(tmp_path)


def test_a_folder_without_the_files_names_the_splits_that_it_lacks(tmp_path):
    (tmp_path / "valid.csv").touch()
    with pytest.raises(InputError, match=r"holds no file of train, test; --data must be a folder"):
        find(tmp_path)
