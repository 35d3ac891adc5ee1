"""One fit of each network to convergence at the challenge's size, and the whole runs that follow.

A run of the pipeline trains every network on 5 folds. Its time is extrapolated, not measured:

    5 epochs (4/5 train + 1/5 N / M predict)

with the epochs of the fit here, its median seconds of training an epoch on all N train rows, and
those of predicting its M held rows: each of the 5 fits takes as many epochs, and its seconds are
proportional to its rows. Preparing, predicting valid and test, and blending are not in it. Where
a fit ran out of time, its epochs are too few, and the extrapolation is a lower bound.
"""

import statistics
from collections.abc import Iterator

import torch

from bench.gpu.fits import FitData, fit_within, generated
from bench.gpu.scale import NETWORKS, Scale
from cv.auc import auc
from models.layers.precision import resolve_precision
from models.network import Network
from models.training.determinism import make_deterministic
from models.training.fit import predict

FOLDS = 5


def convergence(scale: Scale) -> Iterator[dict]:
    """A row for each network, and the sum of their runs.

    `AUC` is that of held rows which did not choose the epoch. `capped`: the fit ran out of
    scale.fit_seconds.
    """
    make_deterministic(scale.torch_device)
    data = generated(scale, scale.rows, scale.held_rows)
    rows = []
    for name in NETWORKS:
        rows.append(converge(scale, data, name))
        yield rows[-1]
    yield dict.fromkeys(rows[0]) | {
        "network": "all",
        "capped": any(row["capped"] for row in rows),
        "seconds": sum(row["seconds"] for row in rows),
        "5 folds, minutes": sum(row["5 folds, minutes"] for row in rows),
    }


def converge(scale: Scale, data: FitData, name: str) -> dict:
    """Fit one network; see `convergence`."""
    cfg = scale.settings(name, precision="auto")
    torch.manual_seed(0)
    network = Network(cfg, data.items).to(scale.device)
    report, capped = fit_within(scale.fit_seconds, cfg, network, data, seed=0)
    choose, judge = (part.rows.cut(cfg.max_len) for part in (data.choose, data.judge))
    score = auc(data.judge.label, predict(network, judge))
    predicting = scale.seconds(lambda: predict(network, choose))
    epoch = statistics.median(record["seconds"] for record in report.epochs[1:] or report.epochs)
    training = max(epoch - predicting, 0)
    of_held = len(data.train.rows) / FOLDS / len(choose)
    of_fold = training * (FOLDS - 1) / FOLDS + predicting * of_held
    return {
        "network": name,
        "precision": resolve_precision("auto", scale.torch_device),
        "train rows": len(data.train.rows),
        "held rows": len(choose),
        "AUC": score,
        "epochs": len(report.epochs),
        "best epoch": report.best_epoch,
        "capped": capped,
        "seconds": sum(record["seconds"] for record in report.epochs),
        "first epoch s": report.epochs[0]["seconds"],
        "epoch s": epoch,
        "of it predicting s": predicting,
        "5 folds, minutes": FOLDS * len(report.epochs) * of_fold / 60,
    }
