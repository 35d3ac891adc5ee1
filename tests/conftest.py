"""What all tests share: one thread, time limits, one run of a tiny sample."""

import shutil
from pathlib import Path

import pytest
import torch

from pipeline.artifacts.locks import locked
from tests.helpers.tiny_runs import TINY, run

torch.set_num_threads(1)  # more threads would only slow such small tensors down

FOLDERS = ("artifacts", "submissions")
LONG = 1800  # timeout of a long test in seconds; of the others: pyproject.toml


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(LONG))


@pytest.fixture(scope="session")
def overrides(tmp_path_factory):
    """The settings of `first_run`."""
    folder = tmp_path_factory.mktemp("runs[1]")  # a name that looks like a pattern of file names
    return [*TINY, f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]


@pytest.fixture(scope="session")
def first_run(overrides, tmp_path_factory, worker_id):
    """The output of a run of a tiny sample, from raw data to the report.

    The first process of pytest-xdist that needs it runs it, and each has a copy of its own.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "first[1]"
    output, own = shared / "output.txt", Path(overrides[-1].partition("=")[2]).parent
    with locked(shared.with_name("first.lock"), "a tiny sample"):
        if not output.exists():
            folders = [f"{name}={shared}/{name}" for name in FOLDERS]
            text = run("sample", *TINY, *folders)
            output.write_text(text, encoding="utf-8")
    for name in FOLDERS:
        shutil.copytree(shared / name, own / name, symlinks=True, dirs_exist_ok=True)
    return output.read_text(encoding="utf-8").replace(str(shared), str(own))
