"""The fits of 50_train, distributed over processes: one folder per fit, with weights and logits."""

import contextlib
import functools
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from features.errors import InputError
from models.training import distributed
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec, require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.graph import OFFICIAL, FitKey
from pipeline.runtime import devices, processes
from pipeline.runtime.build import build
from pipeline.runtime.compute import prepare_training
from pipeline.runtime.devices import pick_device
from pipeline.runtime.live import events
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.training import health
from pipeline.training.checkpointing import FitCheckpointer
from pipeline.training.context import TrainedFit, TrainingContext
from pipeline.training.executors import dispatch
from pipeline.training.fit_line import FitLine, starting
from pipeline.training.tracking import fit_runs
from pipeline.training.tracking.base import UNTRACKED, TrackedRun


@dataclass(frozen=True)
class Fit:
    """One fit of 50_train, with everything that another process needs to run it."""

    settings: Settings
    key: FitKey
    spec: ArtifactSpec
    inputs: dict[str, Path]  # folders of graph.training_inputs

    @property
    def name(self) -> str:
        return str(self.spec.path)

    def resolved(self) -> "Fit":
        """With absolute paths, which another machine can use."""
        spec = replace(self.spec, folder=self.spec.folder.resolve())
        inputs = {name: folder.resolve() for name, folder in self.inputs.items()}
        return replace(self, spec=spec, inputs=inputs)


def run(fits: list[tuple[Settings, FitKey]], force: bool) -> None:
    """Train `fits` and write their artifacts, several at a time where that is quicker.

    On a CPU each fit has a core and one thread, so that results do not depend on how many cores
    there are, or on how many fits were left to do.
    """
    train_cfg = fits[0][0].train
    if distributed.size() > 1:
        return _run_distributed(_described(fits))
    if train_cfg.backend == "dask":
        slots, where = [], f"the workers of {train_cfg.scheduler}"
    else:
        device, slots = pick_device(train_cfg.device), devices.device_slots(train_cfg, len(fits))
        where = f"{device}, {len(slots)} at a time"
    todo = _described(fits)
    print(f"50_train {len(fits)} fit{'s' * (len(fits) != 1)} on {where}", flush=True)
    at_once = max(len(slots), 1)
    events.total("fits", 0, len(fits), at_once)
    parent = None
    if train_cfg.backend == "loky" and at_once > 1:
        parent = os.getpid()
        starting(at_once)
    tasks = {fit.name: (fit, force, parent) for fit in todo}
    shared = todo[0].spec.folder.parent
    results = dispatch.run_tasks(_run_fit, tasks, train_cfg, slots, shared)
    for done, _ in enumerate(results, start=1):
        events.total("fits", done, len(fits), at_once)


def _described(fits: list[tuple[Settings, FitKey]]) -> list[Fit]:
    described = []
    for settings, group in itertools.groupby(fits, key=lambda fit: fit[0]):
        specs, networks = graph.fits(settings), graph.networks(settings)
        train_cfg = replace(settings.train, settings="given")  # no fit reads best.toml again
        resolved = replace(settings, networks=networks, train=train_cfg)
        for _, key in group:
            inputs = graph.training_inputs(settings, [networks[key[0]]])
            folders = {name: require(spec) for name, spec in inputs.items()}
            described.append(Fit(resolved, key, specs[key], folders))
    on_cluster = settings.train.backend == "dask"
    return [fit.resolved() for fit in described] if on_cluster else described


def _run_distributed(fits: list[Fit]) -> None:
    """Train `fits` one after another, each with all processes; the first one writes it."""
    print(f"50_train {len(fits)} fits, each in {distributed.size()} processes", flush=True)
    for done, fit in enumerate(fits):
        events.total("fits", done, len(fits))
        prepare_training(fit.settings.train.threads)
        with _enough_memory(fit), _live_line(fit) as line:
            context = TrainingContext.open(fit.settings, fit.inputs)
            if distributed.rank() == 0:
                build(fit.spec, True, functools.partial(_fill, fit, context, line))
            else:
                make_fit(context, fit.key, None, line)


def _run_fit(fit: Fit, force: bool, parent: int | None) -> None:
    """One fit; in a process of its own where `parent` is the process that started it."""
    if parent is not None:
        processes.die_with_parent(parent)
    prepare_training(fit.settings.train.threads)

    def fill(out: ArtifactWriter) -> dict:
        if force:
            out.state.unlink(missing_ok=True)
        return _fill(fit, context, line, out)

    with _enough_memory(fit), _live_line(fit) as line:
        context = TrainingContext.open(fit.settings, fit.inputs)
        build(fit.spec, force, fill)


@contextlib.contextmanager
def _live_line(fit: Fit) -> Iterator[FitLine]:
    """The line of a fit on a terminal, until it ends."""
    line = FitLine(fit_name(fit.key), fit.settings.networks[fit.key[0]].fit)
    yield line
    line.end()


def _fill(fit: Fit, context: TrainingContext, line: FitLine, out: ArtifactWriter) -> dict:
    with fit_runs.start_run(fit.settings, fit.key, fit.spec) as run:
        return make_fit(context, fit.key, out, line, run)


def _enough_memory(fit: Fit) -> AbstractContextManager:
    """Within it, running out of memory is an error that names the settings to change."""
    model = fit.key[0]
    remedy = f"lower {model}.fit.batch_size; then keep the rows on the host, train.rows=host"
    return enough_memory(pick_device(fit.settings.train.device), line_start(fit.key), remedy)


def make_fit(
    context: TrainingContext,
    key: FitKey,
    out: ArtifactWriter | None,
    line: FitLine,
    run: TrackedRun = UNTRACKED,
) -> dict:
    """Train one network, write its artifact's files, return the facts of the stage's line.

    Without `out` nothing is written: another process of the same fit does that.
    """
    model, seed, fold = key
    network_cfg = context.settings.networks[model]
    # those of all networks, so that the first fit refuses what a later one could not have
    precisions = {name: context.precision(name) for name in context.settings.networks}
    checkpointer = None  # of several processes, each has its own dropout state: none is saved
    if distributed.size() == 1:
        save_every = context.settings.train.save_every
        resumed = functools.partial(fit_runs.log_epochs, run)
        checkpointer = FitCheckpointer(out, line_start(key), save_every, context.device, resumed)

    def each_epoch(epoch: int, record: dict) -> None:
        _print_epoch(key, epoch, record)
        line.end_epoch(epoch, record)
        run.log(epoch, fit_runs.epoch_values(record))

    try:
        trained = context.train(
            key,
            progress=line.batches,
            each_epoch=each_epoch,
            checkpointer=checkpointer,
        )
        logits = {
            name: context.predict(trained.network, name, network_cfg, fold)
            for name in ("valid", "test")
        }
    except FloatingPointError as error:
        if out is not None:
            out.state.unlink(missing_ok=True)  # resuming there would diverge again
        where, remedy = f"{model}, seed {seed}, {place(fold)}", f"{model}.fit.learning_rate"
        raise InputError(f"{where}: {error}; lower {remedy}") from None
    if out is None:
        return {}
    report, store = trained.report, context.store
    torch.save(trained.network.state_dict(), out / "model.pt")
    if fold != OFFICIAL:
        _write_logits(out / "held.parquet", "row_id", trained.held_ids, trained.held_logits)
    row_ids, test_ids = np.arange(len(store.valid)), np.asarray(store.test.id)
    _write_logits(out / "valid.parquet", "row_id", row_ids, logits["valid"])
    _write_logits(out / "test.parquet", "ID", test_ids, logits["test"])
    out.report = _report(trained) | {
        "device": str(context.device),
        "processes": distributed.size(),
        "threads": context.settings.train.threads,
        "precision": precisions[model],  # that auto chose
        "content": context.settings.prepare.content,
    }
    run.finish(fit_runs.final_scores(out.report))
    if warning := health.unstable(model, report.epochs, network_cfg):
        print(f"{line_start(key)}: {warning}")
    best = report.epochs[report.best_epoch - 1]
    return {
        "epochs": len(report.epochs),
        "best": report.best_epoch,
        "loss": f"{best['loss']:.4f}",
        "auc": f"{trained.auc:.5f}",
        **({"prefix_rows": trained.n_prefix_rows} if trained.n_prefix_rows else {}),
        "rows/s": out.report["rows_per_second"],
    }


def line_start(key: FitKey) -> str:
    """The start of every line about a fit."""
    return f"50_train {fit_name(key)}"


def fit_name(key: FitKey) -> str:
    """What people call a fit."""
    model, seed, fold = key
    return f"{model} seed {seed} {place(fold)}"


def place(fold: int) -> str:
    """What people call the rows that a fit holds out."""
    return "official" if fold == OFFICIAL else f"fold {fold}"


def _print_epoch(key: FitKey, epoch: int, record: dict) -> None:
    """One plain line per epoch, where no live line of the fit stands for it."""
    if not events.shows_stdout():
        loss, score, seconds = record["loss"], record["score"], record["seconds"]
        facts = f"loss={loss:.4f} auc={score:.5f} ({seconds:.0f} s)"
        print(f"{line_start(key)} epoch {epoch} {facts}", flush=True)


def _report(trained: TrainedFit) -> dict:
    """`auc` and `chance_error` are of the held-out rows; the scores in `epochs` are of those that
    choose one."""
    report = trained.report
    seconds = sum(epoch["seconds"] for epoch in report.epochs)
    return {
        "best_epoch": report.best_epoch,
        "auc": trained.auc,
        "chance_error": trained.chance_error,
        "epochs": report.epochs,
        "rows": trained.n_rows,
        "prefix_rows": trained.n_prefix_rows,
        "rows_per_second": round(trained.n_rows * len(report.epochs) / seconds),
    }


def _write_logits(path: Path, column: str, ids: np.ndarray, logits: Tensor) -> None:
    pl.DataFrame({column: ids, "logit": logits.cpu().numpy()}).write_parquet(path)
