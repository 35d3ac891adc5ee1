"""The fits of 50_train, spread over processes: weights and logits on disk, a folder a fit."""

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
from models.layers.precision import resolve_precision
from models.settings import NetworkSettings
from models.training import distributed
from models.training.fit import FitReport, Progress
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
from pipeline.training.checkpointing import FitCheckpointer
from pipeline.training.context import Key, TrainingContext
from pipeline.training.executors.dispatch import run_tasks


@dataclass(frozen=True)
class Fit:
    """One fit of 50_train, with all that another process needs to know of it."""

    settings: Settings
    key: Key
    place: ArtifactSpec
    store: Path
    folds: Path

    @property
    def name(self) -> str:
        return str(self.place.path)

    def resolved(self) -> "Fit":
        """With the paths that another machine knows the folders by."""
        place = replace(self.place, folder=self.place.folder.resolve())
        return replace(self, place=place, store=self.store.resolve(), folds=self.folds.resolve())


def run(fits: list[tuple[Settings, Key]], force: bool) -> None:
    """Train and publish `fits`, several at a time where that is quicker.

    On a CPU every core takes a fit of its own, with one thread: results then do not depend on how
    many cores there are, or on how many fits were left to do.
    """
    how = fits[0][0].train
    todo = _described(fits)
    if distributed.size() > 1:
        return _run_together(todo)
    if how.backend == "dask":
        slots, where = [], f"the workers of {how.scheduler}"
    else:
        device, slots = pick_device(how.device), devices.device_slots(how, len(fits))
        where = f"{device}, {len(slots)} at a time"
    print(f"50_train {len(fits)} fits on {where}", flush=True)
    parent = os.getpid() if how.backend == "loky" and len(slots) > 1 else None
    tasks = {fit.name: (fit, force, len(slots) == 1, parent) for fit in todo}
    done = run_tasks(_run_one, tasks, how, slots, todo[0].place.folder.parent)
    for _ in tqdm(done, desc="50_train fits", total=len(fits), disable=None, leave=False):
        pass


def _described(fits: list[tuple[Settings, Key]]) -> list[Fit]:
    described = []
    for s, group in itertools.groupby(fits, key=lambda fit: fit[0]):
        known, store, folds = graph.fits(s), require(graph.store(s)), require(graph.folds(s))
        s = replace(s, networks=graph.networks(s), train=replace(s.train, settings="given"))
        described += [Fit(s, key, known[key], store, folds) for _, key in group]
    return [fit.resolved() for fit in described] if s.train.backend == "dask" else described


def _run_together(todo: list[Fit]) -> None:
    """Train `todo` one after another, each with all processes of the team; the first publishes."""
    first = distributed.rank() == 0
    print(f"50_train {len(todo)} fits, each in {distributed.size()} processes", flush=True)
    for one in todo:
        torch.set_num_threads(one.settings.train.threads)
        with _enough_memory(one):
            bench = TrainingContext.open(one.settings, one.store, one.folds)
            if first:
                fill = functools.partial(make_fit, bench, one.key, progress=progress_bar)
                build(one.place, True, fill)
            else:
                make_fit(bench, one.key, None, lambda batches, _: batches)


def _run_one(one: Fit, force: bool, alone: bool, parent: int | None) -> None:
    """One fit, in a worker of the process `parent` where there is one."""
    if parent is not None:
        processes.die_with_parent(parent)
    torch.set_num_threads(one.settings.train.threads)
    progress = progress_bar if alone else lambda batches, _: batches

    def fill(out: ArtifactWriter) -> dict:
        if force:
            out.state.unlink(missing_ok=True)
        return make_fit(bench, one.key, out, progress)

    with _enough_memory(one):
        bench = TrainingContext.open(one.settings, one.store, one.folds)
        build(one.place, force, fill)


def _enough_memory(one: Fit) -> AbstractContextManager:
    """Where there is not, say what to lower."""
    model, seed, fold = one.key
    what = f"50_train {model} seed {seed} fold {fold}"
    remedy = f"lower {model}.fit.batch_size; then keep the rows on the host, train.rows=host"
    return enough_memory(pick_device(one.settings.train.device), what, remedy)


def make_fit(
    bench: TrainingContext, key: Key, out: ArtifactWriter | None, progress: Progress
) -> dict:
    """Train one model, write what 50_train publishes, return what its line says.

    Without `out` nothing is written: another process of the team does that.
    """
    model, seed, fold = key
    s, said = bench.settings.networks[model], f"50_train {model} seed {seed} fold {fold}"
    resume = None  # each process of a team has its own dropout, and keeps nothing of it
    if distributed.size() == 1:
        resume = FitCheckpointer(out, said, bench.settings.train.save_every, bench.device)
    try:
        network, report, n_rows, held_ids = bench.train(
            key,
            progress=lambda items, what: progress(items, f"{model} {fold} {what}"),
            each_epoch=lambda epoch, record: _say(key, epoch, record),
            resume=resume,
        )
        logits = {name: bench.predict(network, name, s) for name in ("valid", "test")}
    except FloatingPointError as error:
        if out is not None:
            out.state.unlink(missing_ok=True)  # it leads there again
        what, remedy = f"{model}, seed {seed}, fold {fold}", f"{model}.fit.learning_rate"
        raise InputError(f"{what}: {error}; lower {remedy}") from None
    if out is None:
        return {}
    torch.save(network.state_dict(), out / "model.pt")
    if fold != OFFICIAL:
        _write(out / "held.parquet", "row_id", held_ids, report.held_logits)
    ids = np.arange(len(bench.store.valid)), np.asarray(bench.store.test.id)
    _write(out / "valid.parquet", "row_id", ids[0], logits["valid"])
    _write(out / "test.parquet", "ID", ids[1], logits["test"])
    out.report = _report(report, n_rows) | {
        "device": str(bench.device),
        "processes": distributed.size(),
        "precision": resolve_precision(s.fit.precision, bench.device),  # what auto came to
        "content": bench.settings.prepare.content,
    }
    _warn(key, report, s)
    best = report.epochs[report.best_epoch - 1]
    return {
        "epochs": len(report.epochs),
        "best": report.best_epoch,
        "loss": f"{best['loss']:.4f}",
        "auc": f"{report.best_score:.5f}",
        "rows/s": out.report["rows_per_second"],
    }


def _say(key: Key, epoch: int, record: dict) -> None:
    """One plain line an epoch, where there is no terminal for a progress bar."""
    if not sys.stderr.isatty():
        model, seed, fold = key
        said = f"loss={record['loss']:.4f} auc={record['score']:.5f} ({record['seconds']:.0f} s)"
        print(f"50_train {model} seed {seed} fold {fold} epoch {epoch} {said}", flush=True)


def _warn(key: Key, report: FitReport, s: NetworkSettings) -> None:
    model, seed, fold = key
    remedy = f"{model}.fit.learning_rate"
    if s.interaction == "qnn":  # its authors saw four rows train unstably
        remedy += f" or {model}.qnn.rows"
    for epoch, before, after in rises(report):
        what = f"the training loss rose from {before:.4f} to {after:.4f} in epoch {epoch}"
        print(f"50_train {model} seed {seed} fold {fold}: unstable, {what}; lower {remedy}")


def rises(report: FitReport) -> list[tuple[int, float, float]]:
    """Epochs whose mean training loss stands above the one before by more than a fiftieth.

    The mean over an epoch hardly moves by chance, and falls as long as steps do what they should.
    """
    losses = [record["loss"] for record in report.epochs]
    pairs = enumerate(itertools.pairwise(losses), start=2)
    return [(epoch, before, after) for epoch, (before, after) in pairs if after > 1.02 * before]


def _report(report: FitReport, n_rows: int) -> dict:
    seconds = sum(epoch["seconds"] for epoch in report.epochs)
    return {
        "best_epoch": report.best_epoch,
        "auc": report.best_score,
        "epochs": report.epochs,
        "rows_per_second": round(n_rows * len(report.epochs) / seconds),
    }


def _write(path: Path, column: str, ids: np.ndarray, logits: Tensor) -> None:
    pl.DataFrame({column: ids, "logit": logits.cpu().numpy()}).write_parquet(path)
