"""A run of one network on a tiny sample, whose fits are trained, and one whose fits are not."""

import shutil
from pathlib import Path

import pytest

from pipeline import graph
from pipeline.config.load import load
from tests.helpers.tiny_runs import TINY, run_stages
from tests.pipeline.training.fit_runs import KEY, LAST_EPOCH


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Overrides of a run with finished fits, each of LAST_EPOCH epochs."""
    folder = tmp_path_factory.mktemp("trained")
    own = [f"network.fit.max_epochs={LAST_EPOCH}", f"network.fit.patience={LAST_EPOCH}"]
    own += ["models=qin", "train.save_every=0", "train.workers=1", f"artifacts={folder}"]
    overrides = [*(override for override in TINY if "max_epochs" not in override), *own]
    run_stages(overrides, "00_data", "10_prepare", "20_folds", "50_train")
    return overrides


@pytest.fixture
def whole(trained):
    """The spec of a fit that was never stopped."""
    return graph.fits(load("sample", trained))[KEY]


@pytest.fixture
def own(trained, tmp_path):
    """Overrides of a run on the same rows that has no fits yet."""
    folder = Path(load("sample", trained).artifacts)
    copy = shutil.copytree(folder, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*trained, f"artifacts={copy}"]
