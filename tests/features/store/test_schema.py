"""Where the challenge's files may lie, and folders in the place of files."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import prepare, schema
from features.store.store import open_store
from tests.helpers.tiny_runs import ROOT
from tests.helpers.worlds import replace_column, tiny_challenge


def test_item_feature_lies_beside_the_folder_as_it_was_named_also_where_that_is_a_link(tmp_path):
    elsewhere = tiny_challenge(tmp_path / "disk" / "challenge")
    (tmp_path / "data").mkdir()
    link = tmp_path / "data" / "MicroLens_1M_x1"
    link.symlink_to(elsewhere)
    inside = elsewhere / "item_feature.parquet"
    for place in (tmp_path / "disk", tmp_path / "data"):
        beside = inside.rename(place / inside.name)
        assert schema.files(link)["item_feature"].samefile(beside)
        beside.rename(inside)
    assert schema.files(link)["item_feature"].samefile(inside)


def test_items_without_levels_are_counted(tmp_path):
    folder = tiny_challenge(tmp_path / "data")
    table = pq.read_table(folder / "item_feature.parquet")
    pq.write_table(table[:10], folder / "item_feature.parquet")
    manifest = prepare.write_store(tmp_path / "store", schema.files(folder), False)
    assert manifest["found"]["items_without_levels"] == 39 - 10


def test_a_folder_of_parts_is_named_and_the_command_makes_it_one_file(tmp_path):
    folder = tiny_challenge(tmp_path / "the data", rows=40)
    whole = pq.read_table(folder / "train.parquet")
    (folder / "train.parquet").unlink()
    (folder / "train.parquet").mkdir()
    (folder / "train.parquet" / "_SUCCESS").touch()
    for i in range(2):
        part = folder / "train.parquet" / f"part-0000{i}-c1.snappy.parquet"
        pq.write_table(whole[i * 20 : (i + 1) * 20], part)
    with pytest.raises(InputError, match=r"train\.parquet is a folder, as Spark") as error:
        schema.files(folder)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-c", str(error.value).splitlines()[-1]]
    subprocess.run(command, check=True, env=os.environ | {"PATH": path})
    prepare.write_store(tmp_path / "store", schema.files(folder), False)
    users = open_store(tmp_path / "store").train.user
    assert users.tolist() == whole["user_id"].to_pylist()


def test_the_lines_of_the_docs_number_users_without_gaps(tmp_path):
    folder = tiny_challenge(tmp_path / "data", rows=40)
    (tmp_path / "new").mkdir()
    before = {name: pq.read_table(folder / f"{name}.parquet") for name in schema.SPLITS}
    for name, table in before.items():
        ids = pa.array([1_900_000_000 - 7 * i for i in table["user_id"].to_pylist()])
        replace_column(folder, name, "user_id", ids)
    section = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("\n## Ids\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    exec(code.replace("FOLDER", str(folder)).replace("NUMBERED", str(tmp_path / "new")), {})
    users = []
    for name, table in before.items():
        numbered = pq.read_table(tmp_path / "new" / f"{name}.parquet")
        assert numbered["item_id"].equals(table["item_id"])
        users.append(numbered["user_id"].to_pylist())
        assert dict(zip(users[-1], table["user_id"].to_pylist(), strict=True))
        assert len(set(users[-1])) == len(set(table["user_id"].to_pylist()))
    assert {user for ids in users for user in ids} == set(range(1, 10 + 3 + 3 + 1))
