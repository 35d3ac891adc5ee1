"""Settings of train.* that contradict each other."""

import pytest

from features.errors import InputError
from pipeline.config.load import load


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.backend=threads"], "must be one of serial, loky, dask"),
        (["train.backend=dask"], "train.scheduler must be .* tcp://host:port"),
        (["train.scheduler=tcp://a:1"], "train.scheduler: not read without train.backend=dask"),
        (["train.backend=serial", "train.workers=2"], "train.backend=serial has one"),
        (
            ["train.backend=dask", "train.scheduler=tcp://me:secret@host:1"],
            "without user and password",
        ),
        (
            ["train.backend=dask", "train.scheduler=tcp://a:1", "train.workers=2"],
            "train.workers=2: not read with train.backend=dask",
        ),
        (
            ["train.backend=dask", "train.scheduler=tcp://a:1", "tune.trials=2"],
            "tune.pruner = 'median' looks between folds",
        ),
    ],
)
def test_contradictory_overrides_are_refused(overrides, message):
    with pytest.raises(InputError, match=message) as error:
        load("sample", overrides)
    assert "secret" not in str(error.value)
