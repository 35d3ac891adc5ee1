"""One trial: its folds, its pruning, and what interrupts it."""

import shutil
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from optuna.trial import TrialState

from features.errors import InputError
from pipeline.config.load import load
from pipeline.runtime import devices
from pipeline.training.context import TrainingContext
from pipeline.training.executors import dispatch
from pipeline.tuning import stale_trials, trials, workers
from pipeline.tuning.storage import journal_path
from pipeline.tuning.studies import FINISHED
from tests.pipeline.tuning.runs import fake_fits, search_of, states, study_of


def test_a_trial_is_stopped_between_folds_by_its_mean_so_far(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.5 + rate + fold / 100)
    study = workers.run(search, 1)
    assert states(study).count("PRUNED") > 0
    for trial in study.trials:
        aucs = trial.user_attrs["fold_aucs"]
        assert len(aucs) == (1 if trial.state == TrialState.PRUNED else 2)
        means = [sum(aucs[: n + 1]) / (n + 1) for n in range(len(aucs))]
        assert list(trial.intermediate_values.values()) == pytest.approx(means)
        assert trial.value == pytest.approx(means[-1])
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    best_pruned = min(trial.params["fit.learning_rate"] for trial in pruned)
    assert best_pruned < study.best_params["fit.learning_rate"]


def test_settings_that_diverge_count_as_the_worst(search, monkeypatch):
    def diverge(rate, fold):
        if rate > 1e-3:
            raise FloatingPointError("epoch 1: training loss nan")
        return 0.6

    fake_fits(monkeypatch, diverge)
    first, second = workers.run(search, 1).trials[:2]
    assert (first.state, first.value) == (TrialState.PRUNED, None)
    assert "training loss nan" in first.user_attrs["diverged"]
    assert second.state == TrialState.COMPLETE


def test_settings_that_need_too_much_memory_name_the_space_to_narrow(search, monkeypatch):
    def need_too_much(rate, fold):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    fake_fits(monkeypatch, need_too_much)
    with pytest.raises(InputError, match=r"'qnn.layers': 4.* narrow the space in .*qin.toml$"):
        workers.run(search, 1)
    assert states(search.create())[0] == "FAIL"


def test_no_more_trials_continue_than_are_required(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    study = search.create()
    while study.ask().number < 8:  # eight other workers run one; the ninth is the last required
        pass
    study_here, seed = search.load(1)
    s = search.settings
    context = TrainingContext.of_run(s)
    trials.run_trial(search, study_here, context, seed)
    assert states(study) == ["RUNNING"] * 9 + ["FAIL"]


def test_the_settings_of_an_interrupted_trial_are_queued_again(search, monkeypatch):
    def interrupt(rate, fold):
        raise KeyboardInterrupt

    fake_fits(monkeypatch, interrupt)
    for _ in range(5):  # as often as one likes
        with pytest.raises(KeyboardInterrupt):
            workers.run(search, 1)
    assert sorted(states(search.create())) == ["FAIL"] * 5 + ["WAITING"] * 2
    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    finished = [trial for trial in workers.run(search, 1).trials if trial.state in FINISHED]
    assert len(finished) == 9
    origins = sorted(t.user_attrs["origin"] for t in finished if "origin" in t.user_attrs)
    assert origins == ["present", "published"]


def test_a_trial_that_another_worker_fails_while_it_runs_is_given_up(own, monkeypatch, capsys):
    overrides = [*own, "tune.trials=2"]
    fit_fold, failed = trials.fit_fold, []

    def fit_after_it_was_failed(*given):
        if not failed:
            study = study_of(overrides)
            (trial,) = study.get_trials(states=[TrialState.RUNNING])
            failed.append(trial.number)
            assert stale_trials.release(study, trial)
        return fit_fold(*given)

    monkeypatch.setattr(trials, "fit_fold", fit_after_it_was_failed)
    import_module("pipeline.40_tune").work(load("sample", overrides), False, 1)
    assert "trial 0 was failed by another worker" in capsys.readouterr().out
    assert sorted(states(study_of(own))) == ["COMPLETE", "COMPLETE", "FAIL"]


def test_the_folds_of_a_trial_are_trained_side_by_side(own, monkeypatch):
    overrides = [*own, "train.workers=0", "tune.trials=1", "tune.pruner=none"]
    calls = []

    def run_here(work, tasks, train_cfg, slots, shared):
        calls.append((len(tasks), slots))
        return ((name, work(*arguments)) for name, arguments in tasks.items())

    search = search_of(overrides)
    monkeypatch.setattr(dispatch, "run_tasks", run_here)
    side_by_side = workers.run(search, n_workers=1).trials[0]
    assert calls == [(2, devices.device_slots(search.settings.train, 2))]
    shutil.rmtree(journal_path(search.settings).parent)
    serial = search_of([*overrides, "train.backend=serial"])
    in_turn = workers.run(serial, n_workers=1).trials[0]
    assert len(calls) == 1
    assert side_by_side.user_attrs["fold_aucs"] == in_turn.user_attrs["fold_aucs"]
    assert side_by_side.user_attrs["peak_mib"] > 0


def test_a_worker_of_several_trains_one_fold_after_another(search, monkeypatch):
    searches = []
    monkeypatch.setattr(workers, "work", lambda search, worker: searches.append(search))
    monkeypatch.setattr(workers, "run_processes", lambda search, slots: searches.append(search))
    settings = replace(search.settings, tune=replace(search.settings.tune, pruner="none"))
    for n_workers in (1, 2):
        with pytest.raises(InputError, match="has 0 of 9 trials, and all its workers have ended"):
            workers.run(replace(search, settings=settings), n_workers)
    assert [search.parallel_folds for search in searches] == [True, False]
