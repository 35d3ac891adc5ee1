"""Whether a fit trained soundly: from its own learning curve."""

import itertools

from models.settings import NetworkSettings
from models.training.fit import FitReport

LOSS_RISE = 1.02  # of mean training losses of two epochs: a larger ratio is no noise


def loss_rises(report: FitReport) -> list[tuple[int, float, float]]:
    """(epoch, loss before, loss) of each epoch whose mean training loss rose by more than 2 %.

    The mean over an epoch hardly varies by chance, and falls as long as training is stable.
    """
    losses = [record["loss"] for record in report.epochs]
    pairs = enumerate(itertools.pairwise(losses), start=2)
    return [(epoch, old, new) for epoch, (old, new) in pairs if new > LOSS_RISE * old]


def unstable(model: str, report: FitReport, network_cfg: NetworkSettings) -> list[str]:
    """What to say of a fit whose training loss rose: a sentence for each such epoch."""
    remedy = f"{model}.fit.learning_rate"
    if network_cfg.interaction == "qnn":  # its authors saw unstable training with four rows
        remedy += f" or {model}.qnn.rows"
    return [
        f"unstable, the training loss rose from {before:.4f} to {after:.4f} in epoch {epoch};"
        f" lower {remedy}"
        for epoch, before, after in loss_rises(report)
    ]
