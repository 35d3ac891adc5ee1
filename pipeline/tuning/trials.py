"""One trial: its settings, the fits of its folds, and its mean AUC.

A trial trains the network on one fold after another and reports the mean AUC so far; the pruner
may stop it between two folds. Without a pruner (tune.pruner=none), a worker that is alone trains
the folds of a trial side by side, as train.backend says. Early stopping inside a fold belongs to
the fit; no pruner sees it. AUCs are of the held-out rows, at the epoch that the fit chose.
"""

import statistics
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from models.settings import NetworkSettings
from pipeline import graph
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import require
from pipeline.config import paths, search_space
from pipeline.config.search_space import Categorical, Float, Parameter
from pipeline.config.settings import Settings
from pipeline.graph import FitKey
from pipeline.runtime import devices
from pipeline.runtime.compute import prepare_training
from pipeline.runtime.live import events
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.training.context import TrainingContext
from pipeline.training.executors import dispatch
from pipeline.training.fit_line import FitLine
from pipeline.training.tracking import fit_runs
from pipeline.training.tracking.base import TrackedRun
from pipeline.tuning.pruning import reported_value
from pipeline.tuning.stale_trials import WORKER, requeue, this_worker
from pipeline.tuning.studies import FINISHED, Search, count
from pipeline.tuning.tracked_trials import TrialRuns

CLEAR_REFS = Path("/proc/self/clear_refs")  # writing "5" to it resets the peak of resident memory


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What a trial keeps of one fit.

    auc       of its held-out rows
    epochs    their number, and the seconds of all of them
    n_rows    train rows
    peak_mib  of its process
    """

    auc: float
    epochs: int
    seconds: float
    n_rows: int
    peak_mib: int


class SurplusTrial(Exception):
    """Raised when another worker has already started the last required trial."""


def run_trial(search: Search, study: Study, context: TrainingContext, seed: int) -> None:
    """Run one trial. If it is interrupted, its settings are queued again."""
    started: list[int] = []
    failed_by_others: list[int] = []

    def objective(trial: Trial) -> float:
        started.append(trial.number)
        try:
            return mean_auc(search, context, trial, seed)
        except UpdateFinishedTrialError:
            failed_by_others.append(trial.number)
            raise

    try:
        study.optimize(objective, n_trials=1, catch=SurplusTrial, callbacks=[_print_trial])
        show_total(search, study)
    except (UpdateFinishedTrialError, ValueError):  # Optuna's answers for a finished trial
        if not failed_by_others:
            raise
        message = "was failed by another worker, or by --repair, while it ran; on to the next"
        print(f"40_tune trial {failed_by_others[0]} {message}", flush=True)
    except KeyboardInterrupt:  # Optuna has failed the trial
        for number in started:
            requeue(study, study.trials[number])
        raise


def mean_auc(search: Search, context: TrainingContext, trial: Trial, seed: int) -> float:
    """The mean AUC over the folds; raises TrialPruned when the pruner stops it or it diverges."""
    settings, folds = search.settings, search.folds
    trial.set_user_attr(WORKER, this_worker())
    trial.set_user_attr("seed", seed)
    _refuse_surplus(trial, settings.tune.trials)
    values = {key: _draw(trial, key, parameter) for key, parameter in search.space.items()}
    network = search_space.apply(search.network, values, f"40_tune {search.model}, {values}")
    context = replace(context, settings=replace(context.settings, networks={search.model: network}))
    results, what = FoldResults(context.device), f"40_tune {search.model}, {values},"
    name = f"trial {trial.number}"
    remedy = f"narrow the space in models/{paths.SPACES}/{search.model}.toml"
    runs = TrialRuns.of(search, trial.number)
    try:
        with enough_memory(context.device, what, remedy), runs.trial(settings, values) as run:
            fits = _fit_folds(search, network, trial.number) if search.parallel_folds else None
            for step, fold in enumerate(folds):
                if fits:
                    results.add(fits[step])
                else:
                    line, key = FitLine(name, network.fit, (step, len(folds))), _key(search, fold)
                    results.add(fit_fold(context, key, line, runs.fit(context.settings, key)))
                run.log(step, {"auc/held": results.aucs[-1]})
                trial.report(reported_value(results.aucs, settings.tune.pruner), step)
                if fold != folds[-1] and trial.should_prune():
                    run.finish({"auc/mean": statistics.fmean(results.aucs), "pruned": 1})
                    raise optuna.TrialPruned
            run.finish({"auc/mean": statistics.fmean(results.aucs), "pruned": 0})
    except FloatingPointError as error:  # pruned, not failed: the sampler learns how bad they are
        trial.set_user_attr("diverged", str(error))
        raise optuna.TrialPruned from None
    finally:
        events.end(name)
        for attribute, value in results.attributes().items():
            trial.set_user_attr(attribute, value)
    return statistics.fmean(results.aucs)


def fit_fold(
    context: TrainingContext,
    key: FitKey,
    line: FitLine,
    tracked: AbstractContextManager[TrackedRun],
) -> FoldResult:
    with tracked as run:

        def each_epoch(epoch: int, record: dict) -> None:
            line.end_epoch(epoch, record)
            run.log(epoch, fit_runs.epoch_values(record))

        trained = context.train(key, progress=line.batches, each_epoch=each_epoch)
        run.finish({"auc/held": trained.auc})
    epochs = trained.report.epochs
    seconds = sum(epoch["seconds"] for epoch in epochs)
    return FoldResult(trained.auc, len(epochs), seconds, trained.n_rows, provenance.peak_mib())


def _key(search: Search, fold: int) -> FitKey:
    return search.model, search.settings.train.seeds[0], fold


def _fit_folds(search: Search, network: NetworkSettings, number: int) -> list[FoldResult]:
    """`fit_fold` of every fold, each in a process of its own."""
    settings = search.settings
    train_cfg = replace(settings.train, settings="given")
    specs = graph.training_inputs(settings, [network])  # of a run with all its networks
    settings = replace(settings, networks={search.model: network}, train=train_cfg)
    inputs = {name: require(spec).resolve() for name, spec in specs.items()}
    keys = [_key(search, fold) for fold in search.folds]
    runs = TrialRuns.of(search, number)
    names = [f"trial {number} fold {key[2]}" for key in keys]
    tasks = {
        name: (settings, inputs, key, name, runs) for name, key in zip(names, keys, strict=True)
    }
    slots = devices.device_slots(train_cfg, len(tasks))
    results = dict(
        dispatch.run_tasks(
            _fit_fold_in_process, tasks, train_cfg, slots, inputs["store"].parents[1]
        )
    )
    return [results[name] for name in tasks]


def _fit_fold_in_process(
    settings: Settings, inputs: dict[str, Path], key: FitKey, name: str, runs: TrialRuns
) -> FoldResult:
    prepare_training(settings.train.threads)
    line = FitLine(name, settings.networks[key[0]].fit)
    context = TrainingContext.open(settings, inputs)
    context = context.of_users(settings.tune.users, settings.tune.seed)
    result = fit_fold(context, key, line, runs.fit(settings, key))
    line.end()
    return result


def _refuse_surplus(trial: Trial, n_required: int) -> None:
    """Raises SurplusTrial when enough earlier trials are running or finished.

    Two workers may start a trial at the same moment. The storage numbers the trials in order, so
    that exactly the required ones continue.
    """
    earlier = trial.study.get_trials(deepcopy=False)[: trial.number]
    if sum(other.state != TrialState.FAIL for other in earlier) >= n_required:
        raise SurplusTrial


def _draw(trial: Trial, key: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return trial.suggest_categorical(key, parameter.choices)
    low, high, step, log = parameter.low, parameter.high, parameter.step, parameter.log
    if isinstance(parameter, Float):
        return trial.suggest_float(key, low, high, step=step or None, log=log)
    return trial.suggest_int(key, low, high, step=step, log=log)


@dataclass
class FoldResults:
    """The results of a trial's folds so far."""

    device: torch.device
    aucs: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: float = 0.0
    rows: int = 0
    peak_mib: int = 0

    def __post_init__(self) -> None:
        if CLEAR_REFS.exists():  # otherwise peak_mib counts from the start of the worker
            CLEAR_REFS.write_text("5", encoding="utf-8")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def add(self, fit: FoldResult) -> None:
        self.aucs.append(fit.auc)
        self.epochs.append(fit.epochs)
        self.seconds += fit.seconds
        self.rows += fit.n_rows * fit.epochs
        self.peak_mib = max(self.peak_mib, fit.peak_mib)

    def attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        attributes = {
            "fold_aucs": self.aucs,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds) if self.seconds else 0,
            "peak_mib": self.peak_mib or provenance.peak_mib(),
        }
        if self.device.type == "cuda":
            attributes["gpu_peak_mib"] = torch.cuda.max_memory_allocated(self.device) // 2**20
        return attributes


def show_total(search: Search, study: Study) -> None:
    """Report how many trials are done, and the best one."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    best = max(complete, key=lambda trial: trial.value, default=None)
    note = "" if best is None else f"best {best.value:.5f}"
    done, of = count(study, *FINISHED), search.settings.tune.trials
    events.total("trials", done, of, search.workers, note)


def _print_trial(study: Study, trial: FrozenTrial) -> None:
    """One line per finished trial."""
    if trial.state not in FINISHED:
        return
    attributes = trial.user_attrs
    auc = "diverged" if trial.value is None else f"auc={trial.value:.5f}"
    print(
        f"40_tune trial {trial.number} {trial.state.name.lower()} {auc}"
        f" folds={len(attributes['fold_aucs'])} ({attributes['seconds']:.0f} s),"
        f" {count(study, *FINISHED)} finished",
        flush=True,
    )
