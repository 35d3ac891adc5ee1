"""A tiny sample whose rows and folds are prepared, with the fits of the serial executor."""

import shutil

import pytest

from tests.helpers.tiny_runs import run_stages
from tests.pipeline.training.executors.runs import LONGER


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("executors")
    overrides = [*LONGER, f"artifacts={folder}", "train.backend=serial"]
    run_stages(overrides, "00_data", "10_prepare", "20_folds", "30_features", "50_train")
    return folder


@pytest.fixture
def overrides(prepared, tmp_path):
    """Overrides of a run on those folds that has no fits yet."""
    shutil.copytree(prepared, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*LONGER, f"artifacts={tmp_path}/a"]
