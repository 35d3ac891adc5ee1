"""What all tests share: one thread, time limits, one run of a tiny sample."""

import pytest
import torch

from tests.helpers.tiny_runs import TINY, run

torch.set_num_threads(1)  # more threads would only slow such small tensors down

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
def first_run(overrides):
    """The output of a run of a tiny sample, from raw data to the report."""
    return run("sample", *overrides)
