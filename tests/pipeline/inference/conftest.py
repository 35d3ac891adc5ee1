"""A tiny challenge, and a published QIN beside it."""

import pytest
import torch

from models.network import Network
from pipeline.inference.export import export
from tests.helpers import checkpoints
from tests.helpers.checkpoints import randomised
from tests.helpers.scoring import (
    ITEMS,
    QIN,
    QIN_JSON,
    WIDTH,
    changed,
    fuxictr,
    item_table,
)
from tests.helpers.worlds import tiny_challenge
from tests.models.serving.test_serving import OPTIONS, trained

FIT = {"name": "qin-seed0-fold0", "commit": "abc", "scores": {"auc": 0.7}}


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A QIN with all inputs and histories of at most 4 items, exported."""
    folder = tmp_path_factory.mktemp("exported") / "serving"
    export(trained(OPTIONS["all inputs"], torch.float32), 4, folder, FIT)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A challenge of 20 test rows; the first has no history."""
    challenge = tiny_challenge(tmp_path / "data", rows=80, width=WIDTH, items=ITEMS)
    changed("test", "item_seq", 0, [0] * WIDTH)(challenge)
    return challenge


@pytest.fixture
def qin(folder):
    """Arguments that score with a published QIN, and the network."""
    network = randomised(Network(QIN, item_table(folder)))
    return fuxictr(folder, network, checkpoints.qin(2), QIN_JSON), network
