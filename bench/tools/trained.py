"""The fits of 50_train behind a table: the missing ones are trained, then all are read.

They lie where 50_train writes them, so that a table that was stopped resumes, tables share fits,
and a run finds them too.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from cv.auc import auc
from cv.trainings import TrainingDifference, training_bootstrap
from features.errors import InputError
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config import networks
from pipeline.config.settings import Settings
from pipeline.graph import FitKey
from pipeline.runtime.build import is_up_to_date
from pipeline.training import fits as training

Fits = dict[FitKey, ArtifactSpec]


@dataclass(frozen=True, slots=True)
class SeedScores:
    """The AUCs of S seeds, and the logits of their F fits each on the V rows of official valid."""

    held: list[float]
    valid: list[float]
    epochs: float  # mean over the fits
    logits: np.ndarray  # (V, S, F) float32
    label: np.ndarray  # (V,)
    user: np.ndarray  # (V,)


def fits_of(s: Settings, folds: str) -> Fits:
    """The fits of `s` on the folds that `folds` lists; all where it is empty.

    Runs the stages before them where their results are missing.
    """
    chosen = chosen_folds(folds, s)
    build_inputs(s)
    return {key: fit for key, fit in graph.fits(s).items() if key[2] in chosen}


def chosen_folds(text: str, s: Settings) -> list[int]:
    """The folds that `text` lists; all of the profile's where it is empty."""
    available = list(graph.fold_numbers(s))
    if not text:
        return available
    folds = [int(part) if part.strip().isdigit() else None for part in text.split(",")]
    if not set(folds) <= set(available):
        raise InputError(f"--folds {text}: there are {', '.join(map(str, available))}")
    return folds


def applies_to(override: str, model: str) -> bool:
    """False for an override of another network, unless `model` extends that one."""
    section = override.partition("=")[0].partition(".")[0]
    return section not in networks.model_names() or section in dict(networks.lineage(model))


def build_inputs(s: Settings) -> None:
    """Run the stages whose results training reads, where these are missing."""
    if _inputs_are_done(s):
        return
    networks_of_run = s.networks.values()
    last = "30_features" if any(network.columns for network in networks_of_run) else "25_prefixes"
    if last == "25_prefixes" and not graph.most_prefixes(s):
        last = "20_folds"
    command = [sys.executable, "-m", "pipeline", *s.arguments, "--to", last]
    completed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if completed.returncode:
        raise InputError(completed.stderr.strip().removeprefix("error: ") or "stopped")


def _inputs_are_done(s: Settings) -> bool:
    try:
        inputs = graph.training_inputs(s, s.networks.values())
    except spec.MissingArtifact:
        return False
    return all(one.done for one in inputs.values())


def missing(runs: Iterable[tuple[Settings, Fits]], force: bool) -> list[tuple[Settings, FitKey]]:
    """The fits that are to be trained, each once, whichever of the runs share it."""
    by_path = {fit.path: (s, key, fit) for s, fits in runs for key, fit in fits.items()}
    return [(s, key) for s, key, fit in by_path.values() if not is_up_to_date(fit, force)]


def train(todo: list[tuple[Settings, FitKey]], force: bool) -> None:
    """Train the fits of `missing`, as 50_train does."""
    if todo:
        training.run(todo, force)


def read_scores(s: Settings, fits: Fits) -> SeedScores:
    """AUCs and logits of finished fits."""
    split = open_store(spec.require(graph.store(s))).valid
    label, user = np.array(split.label), np.array(split.user)
    logits = read_logits(s, fits, "valid")
    reports = {key: report(fit) for key, fit in fits.items()}
    held = [
        statistics.fmean(reports[key]["auc"] for key in fits if key[1] == seed)
        for seed in s.train.seeds
    ]
    epochs = statistics.fmean(len(one["epochs"]) for one in reports.values())
    return SeedScores(held, seed_aucs(label, logits), epochs, logits, label, user)


def read_logits(s: Settings, fits: Fits, split: str) -> np.ndarray:
    """(N, S, F) float32: the logits of S seeds with F fits each on the N rows of valid or test, in
    the order of the store."""
    of_seeds = [
        [
            pl.read_parquet(spec.require(fit) / f"{split}.parquet", glob=False)["logit"].to_numpy()
            for (_, seed_of_fit, _), fit in fits.items()
            if seed_of_fit == seed
        ]
        for seed in s.train.seeds
    ]
    return np.stack([np.stack(columns, axis=1) for columns in of_seeds], axis=1)


def report(fit: ArtifactSpec) -> dict:
    """What the finished fit has reported."""
    return spec.record(spec.require(fit))["report"]


def seed_aucs(label: np.ndarray, scores: np.ndarray) -> list[float]:
    """Each seed's mean AUC over its fits; label (N,), scores (N, S, F)."""
    _, n_seeds, n_fits = scores.shape
    return [
        statistics.fmean(auc(label, scores[:, s, f]) for f in range(n_fits)) for s in range(n_seeds)
    ]


def difference(ours: SeedScores, theirs: SeedScores) -> TrainingDifference:
    """The difference of AUC on valid; both have the same seeds."""
    return training_bootstrap(ours.label, ours.logits, theirs.logits, ours.user)
