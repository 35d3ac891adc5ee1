"""What train.log keeps of a fit of 50_train: its settings, its epochs and its scores."""

import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

from pipeline import graph
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import ArtifactSpec, record
from pipeline.config.redact import without_passwords
from pipeline.config.settings import Settings
from pipeline.config.tables import flat
from pipeline.graph import FitKey
from pipeline.training.tracking.base import TrackedRun, Values
from pipeline.training.tracking.trackers import tracker

GROUP = "50_train"


def open_tracker(settings: Settings) -> None:
    """Print how to look at the runs, and log the finished fits that have no finished run.

    Raises InputError where the package of train.log is not installed.
    """
    tool = tracker(settings)
    how = tool.open(GROUP)
    if how:
        print(f"50_train curves: {how}", flush=True)
    settings = replace(settings, networks=graph.networks(settings))
    for key, spec in graph.fits(settings).items():
        if spec.done and not tool.has(GROUP, spec.path.name):
            report = record(spec.path)["report"]
            with start_run(settings, key, spec) as run:
                log_epochs(run, report["epochs"])
                run.finish(final_scores(report))


def start_run(settings: Settings, key: FitKey, spec: ArtifactSpec) -> AbstractContextManager[Any]:
    """The tracked run of a fit that trains now, in place of an earlier one."""
    tool = tracker(settings, spec.folder.parent)
    return tool.start(GROUP, spec.path.name, described(settings, key))


def described(settings: Settings, key: FitKey) -> dict[str, Any]:
    """The settings of a tracked fit: its key, its network's settings, where they come from."""
    model, seed, fold = key
    command = without_passwords(f"python -m pipeline {shlex.join(settings.arguments)}")
    made_by = {"command": command, "commit": provenance.commit()}
    network = {"network": asdict(settings.networks[model])}
    return {"model": model, "seed": seed, "fold": fold} | flat(network) | made_by


def epoch_values(epoch: Mapping[str, float]) -> Values:
    """Of one record in FitReport.epochs; the AUC is that of the rows that choose the epoch."""
    return {
        "loss/train": epoch["loss"],
        "auc/stop": epoch["score"],
        "learning_rate": epoch["learning_rate"],
        "seconds/epoch": epoch["seconds"],
    }


def final_scores(report: Mapping[str, Any]) -> Values:
    """Of the report of a fit's artifact; the AUC is that of its held-out rows."""
    return {
        "auc/held": report["auc"],
        "best_epoch": report["best_epoch"],
        "rows_per_second": report["rows_per_second"],
    }


def log_epochs(run: TrackedRun, epochs: list[dict]) -> None:
    for epoch, values in enumerate(epochs, start=1):
        run.log(epoch, epoch_values(values))
