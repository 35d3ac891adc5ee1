import pytest
import torch

torch.set_num_threads(1)  # more threads would only slow such small tensors down

LONG = 1800  # timeout of a long test in seconds; of the others: pyproject.toml


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(LONG))
