"""The workers of a study: processes that run its trials, one per GPU or core."""

import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from optuna.study import Study
from optuna.trial import TrialState

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.settings import Settings
from pipeline.runtime import cli, devices, processes
from pipeline.runtime.compute import prepare_training
from pipeline.runtime.live import events
from pipeline.training.context import TrainingContext
from pipeline.training.fit_line import starting
from pipeline.tuning import dashboard, tracked_trials
from pipeline.tuning.optuna_output import silence_optuna
from pipeline.tuning.stale_trials import fail_stale_trials, runs_elsewhere
from pipeline.tuning.storage import database_errors
from pipeline.tuning.studies import FINISHED, Search, count
from pipeline.tuning.trials import run_trial, show_total

POLL_S = 1.0  # between two looks at trials that other workers run
WAITING = (
    "40_tune another machine still runs trials of this study; if its workers were killed, stop this"
    " command and fail their trials with --repair"
)


def run(search: Search, n_workers: int) -> Study:
    """Run trials with `n_workers` processes (0: as many as fit) until enough are finished.

    Raises InputError when the workers ended before that.
    """
    settings = search.settings
    if settings.train.backend != "dask":
        devices.pick_device(settings.train.device)  # raises where there is none
    tracked_trials.open_tracker(search)
    study = search.create()
    dashboard.describe(study, search)
    missing = settings.tune.trials - count(study, *FINISHED)
    if missing > 0:
        on_cluster = settings.train.backend == "dask"
        slots = worker_slots(settings, missing, n_workers)
        alone_here = settings.train.backend == "loky" and len(slots) == 1
        parallel_folds = settings.tune.pruner == "none" and (on_cluster or alone_here)
        search = replace(search, parallel_folds=parallel_folds, workers=len(slots))
        message = f"{missing} of {settings.tune.trials} trials to go, {len(slots)} at a time"
        print(f"40_tune study {search.name}: {message}", flush=True)
        print(f"40_tune watch it: {dashboard.command(settings)}", flush=True)
        show_total(search, study)
        if len(slots) == 1:
            work(search, 0)
        else:
            run_processes(search, slots)
    finished = count(study, *FINISHED)
    if finished < settings.tune.trials:
        raise InputError(
            f"study {search.name} has {finished} of {settings.tune.trials} trials, and all its"
            " workers have ended; if one was killed, check that memory suffices; the same command"
            " resumes the study"
        )
    return study


def worker_slots(settings: Settings, missing: int, n_workers: int) -> list[str]:
    """For each worker, its GPU's name, or "" for a core; at most `missing` workers.

    Workers are processes whatever train.backend says of fits; those of a cluster need no device.
    """
    train_cfg = settings.train
    if train_cfg.backend == "dask":
        return [""] * min(missing, n_workers or 1)
    n_workers = n_workers or train_cfg.workers
    return devices.device_slots(replace(train_cfg, backend="loky", workers=n_workers), missing)


def run_processes(search: Search, slots: list[str]) -> None:
    """One worker process per slot. A dead one leaves its trial to the others; none outlives us."""
    spawn, parent = multiprocessing.get_context("spawn"), os.getpid()  # CUDA does not survive fork
    with tempfile.TemporaryDirectory() as locks:
        tasks = [(parent, slots, Path(locks), search, i) for i in range(len(slots))]
        workers = [spawn.Process(target=_worker_main, args=task, daemon=True) for task in tasks]
        starting(len(workers))
        for worker in workers:
            worker.start()
        try:
            alive = {worker.sentinel: worker for worker in workers}
            while alive:
                for sentinel in multiprocessing.connection.wait(list(alive)):
                    _note_end(alive.pop(sentinel))
        except KeyboardInterrupt:
            for worker in workers:
                worker.join(1)  # a terminal's Ctrl-C reaches it as well: it needs no second signal
                worker.terminate()
                worker.join()
            raise


def _note_end(worker: multiprocessing.Process) -> None:
    """Print that a worker was killed, where it was."""
    worker.join()
    if worker.exitcode < 0:
        events.gone(worker.pid)
        print(f"40_tune worker {worker.pid} was killed", flush=True)


def _worker_main(parent: int, slots: list[str], locks: Path, search: Search, worker: int) -> None:
    def main() -> None:
        processes.die_with_parent(parent)
        silence_optuna()
        if any(slots):
            devices.take(slots, locks)
        with database_errors(search.settings):
            work(search, worker)

    sys.exit(cli.exit_code(main))


def work(search: Search, worker: int) -> None:
    """Run trials, one after another, until the study has enough finished ones."""
    settings = search.settings
    device = "cpu" if settings.train.backend == "dask" else settings.train.device  # fits are there
    train_cfg = replace(settings.train, device=device, settings="given")
    settings = replace(settings, train=train_cfg)
    prepare_training(train_cfg.threads)
    inputs = graph.training_inputs(settings, [graph.widest(settings, search.model)])
    folders = {name: require(spec) for name, spec in inputs.items()}
    context = TrainingContext.open(settings, folders)
    context = context.of_users(settings.tune.users, settings.tune.seed)
    study, seed = search.load(worker)
    has_said = False
    while count(study, *FINISHED) < settings.tune.trials:
        fail_stale_trials(study)
        if count(study, *FINISHED, TrialState.RUNNING) < settings.tune.trials:
            run_trial(search, study, context, seed)
        else:
            if not has_said and runs_elsewhere(study):
                has_said = True
                print(WAITING, flush=True)
            time.sleep(POLL_S)
