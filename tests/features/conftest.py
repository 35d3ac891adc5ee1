"""A tiny store and its folds."""

import numpy as np
import pytest

from tests.helpers.worlds import tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("world"), rows=60)


@pytest.fixture(scope="module")
def fold(store):
    return (np.asarray(store.train.user) % 3).astype(np.int8)
