"""A public submission of another team, mixed into the submitted score."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from features.errors import InputError
from pipeline.blending import external
from pipeline.config.settings import BlendSettings


@pytest.mark.parametrize("method", ["rank", "logit"])
def test_external_scores_have_the_weight_of_the_settings(tmp_path, method):
    rng = np.random.default_rng(0)
    ours, theirs, ids = rng.random(50), rng.random(50), np.arange(50)
    theirs[:5] = theirs[5]  # ties
    path = tmp_path / "theirs.csv"
    pl.DataFrame({"ID": ids, "Task2": theirs}).write_csv(path)
    cfg = BlendSettings(external=str(path), external_weight=0.3, external_mean=method)
    got = external.mix(ours, ids, cfg)
    if method == "logit":
        want = expit(0.7 * logit(ours) + 0.3 * logit(theirs))
    else:
        ranks = [
            ((x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1)) / 2) / 50 for x in (ours, theirs)
        ]
        want = 0.7 * ranks[0] + 0.3 * ranks[1]
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert ((got > 0) & (got < 1)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.head(3), "1 are missing, first 3"),
        (lambda t: t.with_columns(ID=pl.col("ID") + 1), "first 0"),
        (lambda t: t.with_columns(Task2=pl.col("Task2") * 9), "values in [0, 1]"),
        (lambda t: t.with_columns(Task2=pl.lit(float("nan"))), "expected a number"),
        (
            lambda t: t.rename({"Task2": "Task1"}),
            "missing: Task2; Task1 is there: choose it with --task, or blend.external_task",
        ),
        (lambda t: t.reverse(), "the order of the test set"),
    ],
)
def test_an_external_file_that_does_not_fit_is_refused(tmp_path, change, message):
    path = tmp_path / "theirs.csv"
    good = pl.DataFrame({"ID": np.arange(4), "Task2": [0.1, 0.4, 0.2, 1.0]})
    change(good).write_csv(path)
    cfg = BlendSettings(external=str(path))
    with pytest.raises(InputError) as error:
        external.mix(np.linspace(0.1, 0.9, 4), np.arange(4), cfg)
    assert message in str(error.value)
    assert "theirs.csv" in str(error.value)


def test_another_column_of_the_file_may_be_mixed_in(tmp_path):
    path, ours = tmp_path / "theirs.csv", np.linspace(0.1, 0.9, 4)
    scores = {"Task1": [0] * 4, "Task2": [0] * 4, "Task1&2": [0.4, 0.1, 0.3, 0.2]}
    pl.DataFrame({"ID": np.arange(4)} | scores).write_csv(path)
    with pytest.raises(InputError, match=r"Task1&2 does: choose it with .* blend\.external_task"):
        external.mix(ours, np.arange(4), BlendSettings(external=str(path)))
    cfg = BlendSettings(external=str(path), external_task="Task1&2")
    got = external.mix(ours, np.arange(4), cfg)
    np.testing.assert_allclose(got, [0.5, 0.25, 0.625, 0.625])


def test_scores_of_0_or_1_have_no_logit(tmp_path):
    path = tmp_path / "theirs.csv"
    pl.DataFrame({"ID": np.arange(4), "Task2": [0.1, 0.4, 0.2, 1.0]}).write_csv(path)
    cfg = BlendSettings(external=str(path), external_mean="logit")
    with pytest.raises(InputError, match=r"1 scores of .* use blend.external_mean=rank"):
        external.mix(np.linspace(0.1, 0.9, 4), np.arange(4), cfg)
