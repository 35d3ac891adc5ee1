"""Pruners, and the bench that compares them."""

import json

import numpy as np
import optuna
import pytest

from bench import pruners
from features.errors import InputError
from pipeline.config.settings import PRUNERS
from pipeline.tuning.pruning import make_pruner


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize("n_folds", [1, 2, 5])
def test_every_pruner_can_be_built(name, n_folds):
    assert isinstance(make_pruner(name, n_folds), optuna.pruners.BasePruner)


def test_a_pruner_that_stops_nothing_loses_nothing_and_one_that_stops_the_worst_saves():
    aucs = np.arange(40)[:, None] / 100 + np.zeros((1, 5))  # all folds of a trial score the same
    assert pruners.replay(aucs, "none", 3) == (0, 1, 0)
    saved, kept, lost = pruners.replay(aucs, "median", 3)
    assert 0.2 < saved < 0.8
    assert (kept, lost) == (1, 0)
    rising = np.linspace(0.5, 0.9, 20)[:, None] * np.ones((1, 5))
    assert pruners.n_folds_run(rising, "median", "any").tolist() == [5] * 20
    assert pruners.n_folds_run(rising[::-1], "median", "any").tolist() == [5] * 5 + [1] * 15
    misled = np.vstack([rising, np.array([[0.1, 0.99, 0.99, 0.99, 0.99]])])  # the best, by its mean
    assert pruners.n_folds_run(misled, "median", "any").tolist() == [5] * 20 + [1]


def test_the_bench_wants_a_study_without_pruning(tuned, capsys):
    overrides, _, spec = tuned
    assert pruners.main(["sample", *overrides, "--orders", "2"]) == 0
    assert "| none | 0.0% | 100.0% | 0.00000 |" in capsys.readouterr().out
    summary = json.loads((spec.path / "tune.json").read_text())
    summary["trials"][2]["state"] = "PRUNED"
    with pytest.raises(InputError, match=r"tune\.pruner=none"):
        pruners.fold_aucs(summary)
