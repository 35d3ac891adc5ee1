"""What a user names as an output is never one of the inputs."""

import os

import pytest

from features.errors import InputError
from features.outputs import refuse_input


@pytest.fixture
def world(tmp_path):
    """A file and a folder with a file, which are inputs; links to both files."""
    (tmp_path / "folder").mkdir()
    for name in ("rows.parquet", "folder/part.parquet"):
        (tmp_path / name).write_text("rows", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("rows.parquet")
    os.link(tmp_path / "rows.parquet", tmp_path / "hard.csv")
    os.link(tmp_path / "folder/part.parquet", tmp_path / "hard_part.csv")
    (tmp_path / "link_folder").symlink_to("folder")
    (tmp_path / "folder" / "nowhere").symlink_to("gone")
    return tmp_path


INPUTS = [
    "rows.parquet",
    "folder/../rows.parquet",
    "link.csv",
    "hard.csv",
    "folder",
    "folder/new.csv",
    "link_folder/part.parquet",
    "hard_part.csv",
]


@pytest.mark.parametrize("output", INPUTS)
def test_an_output_that_is_an_input_is_refused(world, output):
    inputs = [None, world / "not there", world / "folder", world / "rows.parquet"]
    with pytest.raises(InputError) as refused:
        refuse_input(world / output, inputs, "--export")
    assert str(refused.value).startswith(f"--export {world / output} is {world}/")
    assert "name another" in str(refused.value)


@pytest.mark.parametrize("output", ["new.csv", "other/new.csv", "folder2", "rows.parquet.csv"])
def test_another_output_passes(world, output):
    refuse_input(world / output, [world / "rows.parquet", world / "folder"])


def test_a_file_that_is_no_input_may_be_replaced(world):
    (world / "old.csv").write_text("old", encoding="utf-8")
    refuse_input(world / "old.csv", [world / "rows.parquet", world / "folder"])
