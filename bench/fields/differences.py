"""How far the networks' AUCs lie apart on test, with intervals.

Intervals are of 95 %, over rows drawn with replacement and, with two seeds or more, over trainings;
seeds of equal number are paired (cv.trainings).
"""

import statistics
from itertools import pairwise

import numpy as np

from bench.fields.settings import BACKBONES, BLOCK, LAYERS
from bench.fields.tables import Scores
from bench.output import mean_and_sd, table_header, table_row
from cv.trainings import training_bootstrap


def gains(scores: dict[str, Scores], label: np.ndarray) -> str:
    """What the paper's layer makes of FINAL, and a FINAL block of each network with an MLP.

    Shapes: label (N,) of test
    """
    layers = _gains("paper's layer - published, in", LAYERS, "_paper", scores, label)
    blocks = _gains("FINAL block - MLP, in", BACKBONES, BLOCK, scores, label)
    return "\n\n".join(part for part in (layers, blocks) if part)


def _gains(
    title: str, names: dict[str, str], end: str, scores: dict[str, Scores], label: np.ndarray
) -> str:
    """A table of the networks `n`+`end` less the networks `n`; empty where there is no pair."""
    lines = [table_header((title, "test AUC", "95 %", "test log loss"))]
    better = []
    for network, name in names.items():
        if not {network, f"{network}{end}"} <= scores.keys():
            continue
        changed, plain = scores[f"{network}{end}"], scores[network]
        pairs = list(zip(changed.reports, plain.reports, strict=True))
        auc, log_loss = ([a[key] - b[key] for a, b in pairs] for key in ("auc", "log_loss"))
        interval = _interval(changed, plain, label)
        cells = (name, mean_and_sd(auc, 6, "+"), interval, mean_and_sd(log_loss, 6, "+"))
        lines.append(table_row(cells))
        better.append(statistics.mean(auc) > 0)
    if not better:
        return ""
    return "\n".join([*lines, "", f"mean AUC higher: {sum(better)} of {len(better)}"])


def order(scores: dict[str, Scores], label: np.ndarray) -> str:
    """The networks by their mean AUC, each with its lead over the next; empty for one network."""
    means = {
        network: statistics.mean(report["auc"] for report in measured.reports)
        for network, measured in scores.items()
    }
    ranked = sorted(means, key=means.__getitem__, reverse=True)
    lines = [table_header(("place", "network", "test AUC", "lead over the next", "95 %"))]
    for place, (network, after) in enumerate(pairwise(ranked), 1):
        lead = f"{means[network] - means[after]:+.6f}"
        interval = _interval(scores[network], scores[after], label)
        lines.append(table_row((str(place), network, f"{means[network]:.6f}", lead, interval)))
    if len(ranked) < 2:
        return ""
    last = (str(len(ranked)), ranked[-1], f"{means[ranked[-1]]:.6f}", "–", "–")
    return "\n".join([*lines, table_row(last)])


def _interval(a: Scores, b: Scores, label: np.ndarray) -> str:
    found = training_bootstrap(label, a.logits, b.logits)
    return f"[{found.low:+.6f}, {found.high:+.6f}]"
