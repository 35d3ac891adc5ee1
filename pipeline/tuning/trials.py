"""The trials of a study, by one worker or by several.

A trial trains the network on one fold after another and reports the mean AUC so far; the pruner
may stop it between two folds. Where none looks (tune.pruner=none) and one worker alone runs trials,
the folds of a trial are trained side by side, as train.backend says. Early stopping inside a fold
belongs to the fit, and no pruner sees it. AUCs are of the held-out rows, which also chose the
epoch.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from features.errors import InputError
from models.settings import NetworkSettings
from models.training.fit import FitReport
from pipeline import graph
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import ArtifactSpec, require
from pipeline.config import load as load_config
from pipeline.config import search_space
from pipeline.config.load import Settings
from pipeline.config.search_space import Categorical, Float, Parameter, Space
from pipeline.runtime import cli, devices, processes
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.training.context import Key, TrainingContext
from pipeline.training.executors.dispatch import run_tasks
from pipeline.tuning import studies
from pipeline.tuning.studies import FINISHED

POLL = 1.0  # seconds between two looks at trials that others run
WAITS = (
    "40_tune waits for trials that other workers run; where those were killed on another machine,"
    " end this, and fail their trials with --repair"
)
PEAK = Path("/proc/self/clear_refs")  # "5" written to it: the peak of memory counts from here


class SurplusTrial(Exception):
    """Begun in the moment in which another worker began the last one that was wanted."""


@dataclass(frozen=True)
class Search:
    """One study: which settings of which network are searched, over which folds."""

    load_config: Settings
    model: str
    search_space: Space
    place: ArtifactSpec
    abreast: bool = False  # whether the folds of a trial are trained side by side

    @classmethod
    def of(cls, s: Settings, model: str) -> "Search":
        network, place = s.networks[model], graph.tunings(s)[model]
        searched = search_space.load(model, network)
        for key, parameter in searched.items():
            for value in parameter.ends:  # as if they had been typed: rules=strict refuses some
                tried = search_space.apply(network, {key: value}, f"{model}.{key}")
                load_config.refuse(replace(s, networks=s.networks | {model: tried}))
        return cls(s, model, searched, place)

    @property
    def name(self) -> str:
        """Of the study: profile, network, folds, and a hash of all that trials have in common."""
        return f"{self.settings.profile}-{self.place.path.name}"

    @property
    def folds(self) -> list[int]:
        return list(graph.fold_numbers(self.settings))

    @property
    def base(self) -> NetworkSettings:
        return self.settings.networks[self.model]

    def create(self) -> Study:
        """The study, new or as it stands, its first trials queued: published, present settings."""
        study = optuna.create_study(
            study_name=self.name,
            storage=studies.storage(self.settings),
            direction="maximize",
            load_if_exists=True,
        )
        for origin, network in (
            ("published", load_config.paper_settings(self.model)),
            ("present", self.base),
        ):
            first = search_space.values(network, self.space)
            outside = ", ".join(search_space.outside(first, self.space))
            if outside:
                said = f"no trial of the {origin} settings, which its space lacks: {outside}"
                print(f"40_tune {self.model}: {said}", flush=True)
            else:
                study.enqueue_trial(first, user_attrs={"origin": origin}, skip_if_exists=True)
        return study

    def load(self, worker: int) -> tuple[Study, int]:
        """The study for one worker, and the seed of its sampler, which no other worker has.

        It is another when the study goes on, so that nothing is drawn twice.
        """
        study = optuna.load_study(
            study_name=self.name,
            storage=studies.storage(self.settings),
            pruner=pruner(self.settings.tune.pruner, len(self.folds)),
        )
        entropy = [self.settings.tune.seed, len(study.get_trials(deepcopy=False)), worker]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        study.sampler = TPESampler(constant_liar=True, seed=seed)
        return study, seed


def pruner(name: str, n_folds: int) -> BasePruner:
    with studies.experiments():
        return {
            "median": MedianPruner,  # from the sixth trial on
            "hyperband": lambda: HyperbandPruner(max_resource=n_folds),
            "wilcoxon": WilcoxonPruner,  # against the best trial, fold by fold
            "none": NopPruner,
        }[name]()


def reported(aucs: Sequence[float], pruner: str) -> float:
    """What a pruner is told after a fold: the mean so far; "wilcoxon" compares fold with fold."""
    return float(aucs[-1]) if pruner == "wilcoxon" else statistics.fmean(aucs)


def run(search: Search, workers: int) -> Study:
    """Bring a study to its trials with `workers` processes (0: as many as fit); returns it.

    Raises InputError when the workers ended before that.
    """
    s, study = search.settings, search.create()
    missing = s.tune.trials - studies.count(study, *FINISHED)
    if missing > 0:
        on_cluster = s.train.backend == "dask"
        slots = [""] * min(missing, workers or 1) if on_cluster else _slots(s, missing, workers)
        n = len(slots)
        here = s.train.backend == "loky" and n == 1
        search = replace(search, abreast=s.tune.pruner == "none" and (on_cluster or here))
        said = f"{missing} of {s.tune.trials} trials to go, {n} at a time"
        print(f"40_tune study {search.name}: {said}", flush=True)
        if n == 1:
            work(search, 0)
        else:
            _spread(search, slots)
    finished = studies.count(study, *FINISHED)
    if finished < s.tune.trials:
        raise InputError(
            f"study {search.name} has {finished} of {s.tune.trials} trials, and no worker is left;"
            " where one was killed, see that memory suffices; the same command goes on"
        )
    return study


def _slots(s: Settings, n: int, workers: int) -> list[str]:
    """As devices.device_slots, of at most `n` workers: they are processes, whatever a fit is."""
    devices.pick_device(s.train.device)  # there is one
    return devices.device_slots(
        replace(s.train, backend="loky", workers=workers or s.train.workers), n
    )


def _spread(search: Search, slots: list[str]) -> None:
    """A process a slot. One that dies leaves its trial to the others; all end with this one."""
    context, me = multiprocessing.get_context("spawn"), os.getpid()  # CUDA survives no fork
    with tempfile.TemporaryDirectory() as locks:
        tasks = [(me, slots, Path(locks), search, i) for i in range(len(slots))]
        workers = [context.Process(target=_alone, args=task, daemon=True) for task in tasks]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
                if worker.exitcode < 0:
                    print(f"40_tune worker {worker.pid} was killed", flush=True)
        except KeyboardInterrupt:
            for worker in workers:
                worker.join(1)  # a terminal interrupts them as well, which needs no second blow
                worker.terminate()
                worker.join()
            raise


def _alone(parent: int, slots: list[str], locks: Path, *task) -> None:
    def alone() -> None:
        processes.die_with_parent(parent)
        if any(slots):
            devices.take(slots, locks)
        work(*task)

    sys.exit(cli.exit_code(alone))


def work(search: Search, worker: int) -> None:
    """Run trials until the study has as many finished ones as it should."""
    s = search.settings
    device = "cpu" if s.train.backend == "dask" else s.train.device  # of a cluster, not of this one
    s = replace(s, train=replace(s.train, device=device, settings="given"))
    torch.set_num_threads(s.train.threads)
    bench = TrainingContext.open(s, require(graph.store(s)), require(graph.folds(s)))
    bench = bench.of_users(s.tune.users, s.tune.seed)
    study, seed = search.load(worker)
    waits = False
    while studies.count(study, *FINISHED) < s.tune.trials:
        studies.fail_stale_trials(study)
        if studies.count(study, *FINISHED, TrialState.RUNNING) < s.tune.trials:
            _one(search, study, bench, seed)
        elif not waits:
            waits = True
            print(WAITS, flush=True)
        else:
            time.sleep(POLL)


def _one(search: Search, study: Study, bench: TrainingContext, seed: int) -> None:
    """Run one trial. When it is interrupted, its settings are queued again."""
    begun: list[int] = []
    lost: list[int] = []

    def objective(trial: Trial) -> float:
        begun.append(trial.number)
        try:
            return _objective(search, bench, trial, seed)
        except UpdateFinishedTrialError:
            lost.append(trial.number)
            raise

    try:
        study.optimize(objective, n_trials=1, catch=SurplusTrial, callbacks=[_say])
    except (UpdateFinishedTrialError, ValueError):  # Optuna cannot tell what has been told
        if not lost:
            raise
        said = "was failed by another worker, or by --repair, while it ran; on to the next"
        print(f"40_tune trial {lost[0]} {said}", flush=True)
    except KeyboardInterrupt:  # Optuna has failed the trial
        for number in begun:
            studies.requeue(study, study.trials[number])
        raise


def _objective(search: Search, bench: TrainingContext, trial: Trial, seed: int) -> float:
    """The mean AUC over the folds; raises TrialPruned where it is not worth the others."""
    s, folds = search.settings, search.folds
    trial.set_user_attr(studies.WORKER, studies.me())
    trial.set_user_attr("seed", seed)
    _refuse_surplus(trial, s.tune.trials)
    drawn = {key: _draw(trial, key, parameter) for key, parameter in search.space.items()}
    network = search_space.apply(search.base, drawn, f"40_tune {search.model}, {drawn}")
    bench = replace(bench, settings=replace(bench.settings, networks={search.model: network}))
    done, what = _Done(bench.device), f"40_tune {search.model}, {drawn},"
    remedy = f"narrow the space in models/{load_config.SPACES}/{search.model}.toml"
    try:
        with enough_memory(bench.device, what, remedy):
            fits = _parallel_folds(search, network) if search.abreast else None
            for step, fold in enumerate(folds):
                done.add(*(fits[step] if fits else _fit(bench, _key(search, fold))))
                trial.report(reported(done.aucs, s.tune.pruner), step)
                if fold != folds[-1] and trial.should_prune():
                    raise optuna.TrialPruned
    except FloatingPointError as error:  # no settings are worse, which the sampler has to know
        trial.set_user_attr("diverged", str(error))
        raise optuna.TrialPruned from None
    finally:
        for name, value in done.attributes().items():
            trial.set_user_attr(name, value)
    return statistics.fmean(done.aucs)


def _key(search: Search, fold: int) -> Key:
    return search.model, search.settings.train.seeds[0], fold


def _parallel_folds(search: Search, network: NetworkSettings) -> list[tuple[FitReport, int, int]]:
    """What `_fit` returns for every fold, each trained in a process of its own."""
    s = search.settings
    s = replace(s, networks={search.model: network}, train=replace(s.train, settings="given"))
    store, folds = (require(place).resolve() for place in (graph.store(s), graph.folds(s)))
    keys = [_key(search, fold) for fold in search.folds]
    tasks = {f"{search.model} fold {key[2]}": (s, store, folds, key) for key in keys}
    slots = devices.device_slots(s.train, len(tasks))
    found = dict(run_tasks(_fit_alone, tasks, s.train, slots, store.parents[1]))
    return [found[name] for name in tasks]


def _fit_alone(s: Settings, store: Path, folds: Path, key: Key) -> tuple[FitReport, int, int]:
    torch.set_num_threads(s.train.threads)
    bench = TrainingContext.open(s, store, folds).of_users(s.tune.users, s.tune.seed)
    report, *rest = _fit(bench, key)
    return replace(report, held_logits=None), *rest


def _fit(bench: TrainingContext, key: Key) -> tuple[FitReport, int, int]:
    """How a fit went, on how many rows, and the peak memory of its process so far, MiB."""
    _, report, n_rows, _ = bench.train(
        key, progress=lambda batches, _: batches, each_epoch=lambda epoch, record: None
    )
    return report, n_rows, provenance.peak_mib()


def _refuse_surplus(trial: Trial, wanted: int) -> None:
    """Raises SurplusTrial where trials that came first are enough.

    Two workers may begin a trial in the same moment; the numbers that the storage gave them order
    them, so exactly as many as are wanted go on.
    """
    first = trial.study.get_trials(deepcopy=False)[: trial.number]
    if sum(other.state != TrialState.FAIL for other in first) >= wanted:
        raise SurplusTrial


def _draw(trial: Trial, key: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return trial.suggest_categorical(key, parameter.choices)
    low, high, step, log = parameter.low, parameter.high, parameter.step, parameter.log
    if isinstance(parameter, Float):
        return trial.suggest_float(key, low, high, step=step or None, log=log)
    return trial.suggest_int(key, low, high, step=step, log=log)


@dataclass
class _Done:
    """What the folds of a trial came to so far."""

    device: torch.device
    aucs: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: float = 0.0
    rows: int = 0
    peak_mib: int = 0

    def __post_init__(self) -> None:
        if PEAK.exists():  # where not, peak_mib is the worker's since it began
            PEAK.write_text("5")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def add(self, report: FitReport, n_rows: int, peak_mib: int) -> None:
        self.aucs.append(report.best_score)
        self.epochs.append(len(report.epochs))
        self.seconds += sum(epoch["seconds"] for epoch in report.epochs)
        self.rows += n_rows * len(report.epochs)
        self.peak_mib = max(self.peak_mib, peak_mib)

    def attributes(self) -> dict[str, Any]:
        found = {
            "fold_aucs": self.aucs,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds) if self.seconds else 0,
            "peak_mib": self.peak_mib or provenance.peak_mib(),
        }
        if self.device.type == "cuda":
            found["gpu_peak_mib"] = torch.cuda.max_memory_allocated(self.device) // 2**20
        return found


def _say(study: Study, trial: FrozenTrial) -> None:
    """One line a trial."""
    if trial.state not in FINISHED:
        return
    known = trial.user_attrs
    auc = "diverged" if trial.value is None else f"auc={trial.value:.5f}"
    said = f"trial {trial.number} {trial.state.name.lower()} {auc} folds={len(known['fold_aucs'])}"
    n_finished = studies.count(study, *FINISHED)
    print(f"40_tune {said} ({known['seconds']:.0f} s), {n_finished} finished", flush=True)
