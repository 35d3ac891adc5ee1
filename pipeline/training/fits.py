"""The fits of 50_train, distributed over processes: one folder per fit, with weights and logits."""

import functools
import itertools
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from tqdm import tqdm

from features.errors import InputError
from models.training import distributed
from models.training.fit import BatchProgress
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec, require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.graph import OFFICIAL
from pipeline.runtime import devices, processes
from pipeline.runtime.build import build
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import progress_bar
from pipeline.training import health
from pipeline.training.checkpointing import FitCheckpointer
from pipeline.training.context import FitKey, TrainedFit, TrainingContext
from pipeline.training.executors import dispatch


@dataclass(frozen=True)
class Fit:
    """One fit of 50_train, with everything that another process needs to run it."""

    settings: Settings
    key: FitKey
    spec: ArtifactSpec
    store: Path
    folds: Path

    @property
    def name(self) -> str:
        return str(self.spec.path)

    def resolved(self) -> "Fit":
        """With absolute paths, which another machine can use."""
        spec = replace(self.spec, folder=self.spec.folder.resolve())
        return replace(self, spec=spec, store=self.store.resolve(), folds=self.folds.resolve())


def run(fits: list[tuple[Settings, FitKey]], force: bool) -> None:
    """Train `fits` and write their artifacts, several at a time where that is quicker.

    On a CPU each fit has a core and one thread, so that results do not depend on how many cores
    there are, or on how many fits were left to do.
    """
    train_cfg = fits[0][0].train
    todo = _described(fits)
    if distributed.size() > 1:
        return _run_distributed(todo)
    if train_cfg.backend == "dask":
        slots, where = [], f"the workers of {train_cfg.scheduler}"
    else:
        device, slots = pick_device(train_cfg.device), devices.device_slots(train_cfg, len(fits))
        where = f"{device}, {len(slots)} at a time"
    print(f"50_train {len(fits)} fits on {where}", flush=True)
    parent = os.getpid() if train_cfg.backend == "loky" and len(slots) > 1 else None
    tasks = {fit.name: (fit, force, len(slots) == 1, parent) for fit in todo}
    shared = todo[0].spec.folder.parent
    results = dispatch.run_tasks(_run_fit, tasks, train_cfg, slots, shared)
    for _ in tqdm(results, desc="50_train fits", total=len(fits), disable=None, leave=False):
        pass


def _described(fits: list[tuple[Settings, FitKey]]) -> list[Fit]:
    described = []
    for settings, group in itertools.groupby(fits, key=lambda fit: fit[0]):
        specs, networks = graph.fits(settings), graph.networks(settings)
        store, folds = require(graph.store(settings)), require(graph.folds(settings))
        train_cfg = replace(settings.train, settings="given")  # no fit reads best.toml again
        settings = replace(settings, networks=networks, train=train_cfg)
        described += [Fit(settings, key, specs[key], store, folds) for _, key in group]
    on_cluster = settings.train.backend == "dask"
    return [fit.resolved() for fit in described] if on_cluster else described


def _run_distributed(fits: list[Fit]) -> None:
    """Train `fits` one after another, each with all processes; the first one writes it."""
    print(f"50_train {len(fits)} fits, each in {distributed.size()} processes", flush=True)
    for fit in fits:
        torch.set_num_threads(fit.settings.train.threads)
        with _enough_memory(fit):
            context = TrainingContext.open(fit.settings, fit.store, fit.folds)
            if distributed.rank() == 0:
                fill = functools.partial(make_fit, context, fit.key, progress=progress_bar)
                build(fit.spec, True, fill)
            else:
                make_fit(context, fit.key, None, _no_progress)


def _run_fit(fit: Fit, force: bool, alone: bool, parent: int | None) -> None:
    """One fit; in a process of its own where `parent` is the process that started it."""
    if parent is not None:
        processes.die_with_parent(parent)
    torch.set_num_threads(fit.settings.train.threads)

    def fill(out: ArtifactWriter) -> dict:
        if force:
            out.state.unlink(missing_ok=True)
        return make_fit(context, fit.key, out, progress_bar if alone else _no_progress)

    with _enough_memory(fit):
        context = TrainingContext.open(fit.settings, fit.store, fit.folds)
        build(fit.spec, force, fill)


def _no_progress(batches, _):
    return batches


def _enough_memory(fit: Fit) -> AbstractContextManager:
    """Within it, running out of memory is an error that names the settings to change."""
    model = fit.key[0]
    remedy = f"lower {model}.fit.batch_size; then keep the rows on the host, train.rows=host"
    return enough_memory(pick_device(fit.settings.train.device), line_start(fit.key), remedy)


def make_fit(
    context: TrainingContext, key: FitKey, out: ArtifactWriter | None, progress: BatchProgress
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
        checkpointer = FitCheckpointer(out, line_start(key), save_every, context.device)
    try:
        trained = context.train(
            key,
            progress=lambda items, what: progress(items, f"{model} {fold} {what}"),
            each_epoch=lambda epoch, record: _print_epoch(key, epoch, record),
            checkpointer=checkpointer,
        )
        logits = {
            name: context.predict(trained.network, name, network_cfg) for name in ("valid", "test")
        }
    except FloatingPointError as error:
        if out is not None:
            out.state.unlink(missing_ok=True)  # resuming there would diverge again
        fit_name, remedy = f"{model}, seed {seed}, fold {fold}", f"{model}.fit.learning_rate"
        raise InputError(f"{fit_name}: {error}; lower {remedy}") from None
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
    for warning in health.unstable(model, report.epochs, network_cfg):
        print(f"{line_start(key)}: {warning}")
    best = report.epochs[report.best_epoch - 1]
    return {
        "epochs": len(report.epochs),
        "best": report.best_epoch,
        "loss": f"{best['loss']:.4f}",
        "auc": f"{trained.auc:.5f}",
        "rows/s": out.report["rows_per_second"],
    }


def line_start(key: FitKey) -> str:
    """The start of every line about a fit."""
    model, seed, fold = key
    return f"50_train {model} seed {seed} fold {fold}"


def _print_epoch(key: FitKey, epoch: int, record: dict) -> None:
    """One plain line per epoch, where there is no terminal for a progress bar."""
    if not sys.stderr.isatty():
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
        "rows_per_second": round(trained.n_rows * len(report.epochs) / seconds),
    }


def _write_logits(path: Path, column: str, ids: np.ndarray, logits: Tensor) -> None:
    pl.DataFrame({column: ids, "logit": logits.cpu().numpy()}).write_parquet(path)
