"""What faster matrix products cost in AUC: the same fits in each precision of fit.precision.

Every network at published settings, over the seeds of the scale. Fits of one seed begin with the
same weights and see the same batches, so that differences are paired by seed. The rows that are
reported are not those that chose the epoch.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from bench.gpu.fits import FitData, fit_within, generated, real
from bench.gpu.scale import NETWORKS, Scale
from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from models.network import Network
from models.training.determinism import make_deterministic
from models.training.fit import predict

ROWS, HELD, ITEMS = 400_000, 100_000, 20_000  # of generated ones: fewer, since fits are many
PATIENCE = 3  # at most, instead of QIN's 8: it decides when a fit ends, and no step of it
REPLICATES = 200  # of the bootstrap


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


def scores(scale: Scale) -> Iterator[dict]:
    """Rows of the table, on generated rows."""
    make_deterministic(scale.torch_device)
    smaller = replace(scale, items=min(scale.items, ITEMS))
    n_rows, n_held = min(scale.rows, ROWS), min(scale.held_rows, HELD)
    yield from compare(smaller, generated(smaller, n_rows, n_held))


def scores_on_store(scale: Scale) -> Iterator[dict]:
    """Rows of the table, on those of scale.store; none where there is no store."""
    if scale.store is not None:
        make_deterministic(scale.torch_device)
        yield from compare(scale, real(scale))


def compare(scale: Scale, data: FitData) -> Iterator[dict]:
    """A row for each network and precision, float32 first.

    `difference` is to float32, over the seeds that both finished; its 95 % interval is over users,
    with the fits fixed. `diverged` counts fits whose loss was not finite, `capped` those that ran
    out of scale.fit_seconds.
    """
    for name in NETWORKS:
        exact: dict[int, SeedScores] = {}
        for precision in precisions(scale):
            fits = {seed: score(scale, data, name, precision, seed) for seed in scale.seeds}
            finished = {seed: result for seed, result in fits.items() if result is not None}
            if precision == "float32":
                exact = finished
            yield (
                {"network": name, "precision": precision}
                | row(finished, exact, data)
                | {"diverged": len(fits) - len(finished)}
            )


def precisions(scale: Scale) -> tuple[str, ...]:
    """Those that the device can train in; TF32 is a GPU's."""
    return ("float32", "tf32", "bf16") if scale.on_gpu else ("float32", "bf16")


def score(scale: Scale, data: FitData, name: str, precision: str, seed: int) -> SeedScores | None:
    """One fit; None where it diverged."""
    patience = min(scale.settings(name).fit.patience, PATIENCE)
    cfg = scale.settings(name, precision=precision, patience=patience)
    torch.manual_seed(seed)
    network = Network(cfg, data.items).to(scale.device)
    try:
        report, capped = fit_within(scale.fit_seconds, cfg, network, data, seed)
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
    fits = list(finished.values())
    paired = [seed for seed in finished if seed in exact] if finished is not exact else []
    differences = [finished[seed].auc - exact[seed].auc for seed in paired]
    low, high = interval(*([of[s].logits for s in paired] for of in (finished, exact)), data)
    return {
        "seeds": len(fits),
        "AUC": mean([one.auc for one in fits]),
        "AUC sd": sd([one.auc for one in fits]),
        "difference": mean(differences),
        "difference sd": sd(differences),
        "95 % low": low,
        "95 % high": high,
        "epochs": mean([one.epochs for one in fits]),
        "seconds a fit": mean([one.seconds for one in fits]),
        "capped": sum(one.capped for one in fits),
    }


def interval(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], data: FitData
) -> tuple[float | None, float | None]:
    """Of the mean difference over the seeds, resampling users."""
    if not ours:
        return None, None
    label, user = (t.cpu().numpy() for t in (data.judge.label, data.judge.rows.user))
    found = paired_bootstrap(
        label, np.stack(ours, 1), np.stack(theirs, 1), group=user, n=REPLICATES
    )
    return found.low, found.high


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None
