"""What the tests of 40_tune share: studies of a tiny sample, and fits that take no time."""

import time

import optuna

from models.training.fit import FitReport
from pipeline.artifacts import locks
from pipeline.config.load import load
from pipeline.training.context import TrainedFit, TrainingContext
from pipeline.tuning.storage import JournalLock, open_storage
from pipeline.tuning.studies import Search


def search_of(overrides: list[str]) -> Search:
    return Search.of(load("sample", overrides), "qin")


def study_of(overrides: list[str]) -> optuna.Study:
    storage = open_storage(load("sample", overrides))
    return optuna.load_study(study_name=search_of(overrides).name, storage=storage)


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def fake_fits(monkeypatch, auc) -> None:
    """Replace every fit of a fold by the score `auc(learning rate of the trial, fold)`."""

    def train(context, key, progress, each_epoch):
        rate = context.settings.networks["qin"].fit.learning_rate
        report = FitReport(epochs=[{"seconds": 0.1}])
        return TrainedFit(None, report, 10, 0, auc(rate, key[2]), 0.01, None, None)

    monkeypatch.setattr(TrainingContext, "train", train)


def is_free(lock: JournalLock) -> bool:
    """Whether nobody holds the lock for a second."""
    deadline, is_ours = time.monotonic() + 1, False
    while not is_ours and time.monotonic() < deadline:
        is_ours = locks.try_acquire(lock.lock)
    lock.release()
    return is_ours
