"""train.log: what trackers get of trials."""

from importlib import import_module

import pytest

from models.training.fit import FitReport
from pipeline.config.load import load
from pipeline.training.context import TrainedFit, TrainingContext
from pipeline.tuning.tracked_trials import group
from tests.helpers.trackers import approx, curve, install_mlflow, settings_of
from tests.pipeline.tuning.runs import search_of, study_of

stage = import_module("pipeline.40_tune")
EPOCH = {"loss": 0.6, "score": 0.5, "learning_rate": 1e-3, "seconds": 0.1}


@pytest.mark.parametrize("tool", ["tensorboard", "mlflow"])
def test_trials_and_their_fits_are_logged(own, tool, monkeypatch, capsys):
    def train(context, key, progress, each_epoch):
        each_epoch(1, EPOCH)
        auc = 0.6 + context.settings.networks["qin"].fit.learning_rate - key[2] / 10
        return TrainedFit(None, FitReport(epochs=[EPOCH]), 10, 0, auc, 0.01, None, None)

    install_mlflow(monkeypatch)
    monkeypatch.setattr(TrainingContext, "train", train)
    s = load("sample", [*own, "tune.trials=8", f"train.log={tool}"])
    stage.work(s, False, 1)
    assert f"40_tune curves: {tool} " in capsys.readouterr().out
    search, trials = search_of(list(s.overrides)), study_of(own).trials
    for trial in trials:
        name, aucs = f"trial{trial.number:04d}", trial.user_attrs["fold_aucs"]
        assert curve(s, group(search), name, "auc/held") == approx(list(enumerate(aucs)))
        mean, pruned = sum(aucs) / len(aucs), trial.state.name == "PRUNED"
        assert curve(s, group(search), name, "auc/mean") == approx([(0, mean)])
        assert curve(s, group(search), name, "pruned") == [(0, pruned)]
        rate = str(trial.params["fit.learning_rate"])
        assert settings_of(s, group(search), name)["fit.learning_rate"] == rate
        for fold in range(len(aucs)):
            fit = f"{name}-fold{fold}"
            assert curve(s, group(search), fit, "loss/train") == approx([(1, 0.6)])
            assert settings_of(s, group(search), fit)["network.fit.learning_rate"] == rate
    assert len({trial.state for trial in trials}) == 2  # one at least was pruned
