import pytest
import torch

torch.set_num_threads(1)  # the tests' tensors are too small to share out

LONG = 1800  # seconds that a long test may take; the others: pyproject.toml


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(LONG))
