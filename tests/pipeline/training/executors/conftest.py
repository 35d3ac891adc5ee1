"""A tiny sample whose rows and folds are prepared, with the fits of the serial executor."""

import shutil
from importlib import import_module

import pytest

from pipeline.config.load import load
from tests.pipeline.training.executors.runs import LONGER


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("executors")
    s = load("sample", [*LONGER, f"artifacts={folder}", "train.backend=serial"])
    for stage in ("00_data", "10_prepare", "20_folds", "50_train"):
        import_module(f"pipeline.{stage}").work(s, False)
    return folder


@pytest.fixture
def overrides(prepared, tmp_path):
    """Overrides of a run on those folds that has no fits yet."""
    shutil.copytree(prepared, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*LONGER, f"artifacts={tmp_path}/a"]
