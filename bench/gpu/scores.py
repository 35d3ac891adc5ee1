"""What faster matrix products cost in AUC: the same fits in each precision of fit.precision.

    generated  rows of the challenge's shape with learnable labels, at published settings
    real       rows of scale.store, at the settings of the profile for such data

Fits of one seed begin with the same weights and see the same batches, so that differences are
paired by seed. The rows that are reported are not those that chose the epoch. On a GPU several fits
share the card, each in a process of its own: a small network keeps the host busier than the device.
"""

import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from bench.gpu import fits
from bench.gpu.fits import FitData, fit_within
from bench.gpu.scale import NETWORKS, Scale
from cv.auc import auc
from cv.trainings import TrainingDifference, training_bootstrap
from models.network import Network
from models.settings import NetworkSettings
from models.training.determinism import make_deterministic
from models.training.fit import predict
from pipeline.config import load as load_config

ROWS, HELD, ITEMS = 400_000, 100_000, 20_000  # of generated ones: fewer, since fits are many
PATIENCE = 3  # at most, instead of QIN's 8: it decides when a fit ends, and no step of it
REPLICATES = 200  # of the bootstrap
PROFILE = "microlens_release"  # its settings on real rows
AT_ONCE = 9  # fits that share a GPU
LONGER = 3  # times scale.fit_seconds, since they share it


@dataclass(frozen=True, slots=True)
class SeedScores:
    """What one fit reached on the rows that judge.

    logits   (N,) float32
    seconds  of all epochs, the scoring of the rows that choose included
    """

    auc: float
    logits: np.ndarray
    epochs: int
    capped: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class FitTask:
    """One fit, and where its rows come from: generated or real."""

    source: str
    network: str
    precision: str
    seed: int


def scores(scale: Scale) -> Iterator[dict]:
    """Rows of the table, on generated rows."""
    yield from compare(scale, "generated")


def scores_on_store(scale: Scale) -> Iterator[dict]:
    """Rows of the table, on those of scale.store; none where there is no store."""
    if scale.store is not None:
        yield from compare(scale, "real")


def compare(scale: Scale, source: str) -> Iterator[dict]:
    """A row for each network and precision, float32 first.

    `difference` is to float32, over the seeds that both finished; `covers` says which noise its
    95 % interval covers (cv/trainings.py). `diverged` counts fits whose loss was not finite,
    `capped` those that ran out of LONGER times scale.fit_seconds.
    """
    tasks = {
        (name, precision): [FitTask(source, name, precision, seed) for seed in scale.seeds]
        for name in NETWORKS
        for precision in precisions(scale)
    }
    data, exact = rows_of(scale, source), {}
    for (name, precision), found in finished_tasks(scale, data, tasks):
        finished = {seed: result for seed, result in found.items() if result is not None}
        if precision == "float32":
            exact = finished
        yield (
            {"network": name, "precision": precision}
            | row(finished, exact, data)
            | {"diverged": len(found) - len(finished)}
        )


def finished_tasks(
    scale: Scale, data: FitData, tasks: dict[tuple[str, str], list[FitTask]]
) -> Iterator[tuple[tuple[str, str], dict[int, SeedScores | None]]]:
    """Each key of `tasks` with the results of its fits, by seed."""
    if not scale.on_gpu:
        for key, of_key in tasks.items():
            yield key, {task.seed: score(scale, data, task) for task in of_key}
        return
    context = multiprocessing.get_context("spawn")
    source = next(iter(tasks.values()))[0].source
    with ProcessPoolExecutor(AT_ONCE, context, _open, (scale, source)) as pool:
        running = {key: [pool.submit(_score, t) for t in of_key] for key, of_key in tasks.items()}
        for key, futures in running.items():
            seeds = [task.seed for task in tasks[key]]
            yield key, dict(zip(seeds, (f.result() for f in futures), strict=True))


def _open(scale: Scale, source: str) -> None:
    """What a process of the pool keeps for its fits."""
    global _opened
    make_deterministic(scale.torch_device)
    _opened = scale, rows_of(scale, source)


def _score(task: FitTask) -> SeedScores | None:
    return score(*_opened, task)


def precisions(scale: Scale) -> tuple[str, ...]:
    """Those that the device can train in; TF32 is a GPU's."""
    return ("float32", "tf32", "bf16") if scale.on_gpu else ("float32", "bf16")


def rows_of(scale: Scale, source: str) -> FitData:
    if source == "real":
        return fits.real(scale)
    smaller = replace(scale, items=min(scale.items, ITEMS))
    return fits.generated(smaller, min(scale.rows, ROWS), min(scale.held_rows, HELD))


def settings(scale: Scale, task: FitTask) -> NetworkSettings:
    """The settings of one fit: published, or the profile's on real rows; small ones for a toy."""
    cfg = scale.settings(task.network)
    if task.source == "real" and not scale.toy:
        overrides = [f"models={task.network}", f"data.dir={scale.store}"]
        cfg = load_config.load(PROFILE, overrides).networks[task.network]
    patience = min(cfg.fit.patience, PATIENCE)
    return replace(cfg, fit=replace(cfg.fit, precision=task.precision, patience=patience))


def score(scale: Scale, data: FitData, task: FitTask) -> SeedScores | None:
    """One fit; None where it diverged."""
    cfg = settings(scale, task)
    torch.manual_seed(task.seed)
    network = Network(cfg, data.items).to(scale.device)
    try:
        report, capped = fit_within(LONGER * scale.fit_seconds, cfg, network, data, task.seed)
    except FloatingPointError:
        return None
    logits = predict(network, data.judge.rows.cut(cfg.max_len))
    return SeedScores(
        auc=auc(data.judge.label, logits),
        logits=logits.cpu().numpy(),
        epochs=len(report.epochs),
        capped=capped,
        seconds=sum(record["seconds"] for record in report.epochs),
    )


def row(finished: dict[int, SeedScores], exact: dict[int, SeedScores], data: FitData) -> dict:
    """The figures of one network in one precision; `exact` are those in float32."""
    ours = list(finished.values())
    paired = [seed for seed in finished if seed in exact] if finished is not exact else []
    differences = [finished[seed].auc - exact[seed].auc for seed in paired]
    found = interval(*([of[s].logits for s in paired] for of in (finished, exact)), data)
    return {
        "seeds": len(ours),
        "AUC": mean([one.auc for one in ours]),
        "AUC sd": sd([one.auc for one in ours]),
        "difference": mean(differences),
        "difference sd": sd(differences),
        "95 % low": found and found.low,
        "95 % high": found and found.high,
        "covers": found and found.covers,
        "epochs": mean([one.epochs for one in ours]),
        "seconds a fit": mean([one.seconds for one in ours]),
        "capped": sum(one.capped for one in ours),
    }


def interval(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], data: FitData
) -> TrainingDifference | None:
    """The difference between fits of the same seeds."""
    if not ours:
        return None
    label, user = (t.cpu().numpy() for t in (data.judge.label, data.judge.rows.user))
    stacked = np.stack(ours, 1), np.stack(theirs, 1)
    return training_bootstrap(label, *stacked, group=user, n=REPLICATES)


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None
