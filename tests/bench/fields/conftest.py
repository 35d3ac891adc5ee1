"""Small files with the columns of Frappe_x1, and their store."""

import gzip
import shutil
from pathlib import Path

import pytest

from bench.fields.data.schema import find
from bench.fields.data.writing import stored
from tests.helpers.field_runs import HEADER, OF, lines


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frappe")
    for seed, (split, n) in enumerate((("train", 400), ("valid", 90), ("test", 80))):
        text = "\r\n".join([HEADER, *lines(n, seed)]) + "\r\n"
        (folder / f"{split}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.fixture
def data(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture(scope="module")
def opened(written, tmp_path_factory):
    """The folder of the store of `written`."""
    return stored(find(written), OF.data, tmp_path_factory.mktemp("store"))
