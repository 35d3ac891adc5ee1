"""How far the networks' AUCs lie apart on test, with intervals.

Intervals are of 95 %, over rows drawn with replacement and, with two seeds or more, over trainings;
seeds of equal number are paired (cv.trainings).
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from bench.fields.settings import BACKBONES, BLOCK, LAYERS, Published
from bench.fields.tables import Scores, cell
from bench.tools.output import mean_and_sd
from cv.trainings import TrainingDifference, training_bootstrap
from pipeline.reporting.blocks import Section, Table


def gains(
    scores: Mapping[str, Scores], label: np.ndarray, figures: Mapping[str, Published]
) -> list[Section]:
    """What a FINAL block makes of each network with an MLP, and the paper's layer of FINAL.

    Shapes: label (N,) of test
    """
    comparisons = (
        (
            _gains(BACKBONES, BLOCK, scores, label, figures),
            "blocks",
            "With FINAL's block minus with the MLP",
            "intervals that lie above 0: the block is better than the MLP that it replaces, all"
            " else equal.",
        ),
        (
            _gains(LAYERS, "_paper", scores, label, figures),
            "layers",
            "With the paper's layer minus with the published one",
            "intervals without 0: they say which of FINAL's two layers is better.",
        ),
    )
    return [
        Section(anchor=anchor, title=title, look_for=look_for, finding=found[1], blocks=[found[0]])
        for found, anchor, title, look_for in comparisons
        if found is not None
    ]


def _gains(
    names: Mapping[str, str],
    end: str,
    scores: Mapping[str, Scores],
    label: np.ndarray,
    figures: Mapping[str, Published],
) -> tuple[Table, str] | None:
    """The networks `n`+`end` less the networks `n`, and what that shows; None without a pair."""
    columns = ["network", "AUC", "95 %", "log loss"]
    published = {
        network: difference
        for network in names
        if (difference := _published(figures, f"{network}{end}", network))
    }
    rows, found = [], []
    for network, name in names.items():
        if not {network, f"{network}{end}"} <= scores.keys():
            continue
        changed, plain = scores[f"{network}{end}"], scores[network]
        pairs = list(zip(changed.reports, plain.reports, strict=True))
        auc, log_loss = ([a[key] - b[key] for a, b in pairs] for key in ("auc", "log_loss"))
        found.append(training_bootstrap(label, changed.logits, plain.logits))
        cells = [name, mean_and_sd(auc, 6, "+"), interval(found[-1]), mean_and_sd(log_loss, 6, "+")]
        rows.append([*cells, cell(published.get(network, 0), "+.4f")] if published else cells)
    if not rows:
        return None
    columns += ["AUC, paper"] if published else []
    return Table(columns, rows), _counted(found)


def _published(figures: Mapping[str, Published], changed: str, plain: str) -> float:
    """The paper's difference; 0 where it has none."""
    both = [figures[name].paper_auc for name in (changed, plain) if name in figures]
    return both[0] - both[1] if len(both) == 2 and all(both) else 0.0


def _counted(found: list[TrainingDifference]) -> str:
    higher = sum(difference.estimate > 0 for difference in found)
    above = sum(difference.low > 0 for difference in found)
    below = sum(difference.high < 0 for difference in found)
    return (
        f"Mean AUC higher: {higher} of {len(found)}. The interval lies above 0 in {above},"
        f" below 0 in {below}."
    )


def order(scores: Mapping[str, Scores], label: np.ndarray) -> list[Section]:
    """The networks by their mean AUC, each with its lead over the next; none for one network."""
    ranked = sorted(scores, key=lambda network: scores[network].auc, reverse=True)
    if len(ranked) < 2:
        return []
    rows, told_apart = [], 0
    for place, (network, after) in enumerate(pairwise(ranked), 1):
        ahead = scores[network].auc - scores[after].auc
        found = training_bootstrap(label, scores[network].logits, scores[after].logits)
        told_apart += found.low > 0
        auc = f"{scores[network].auc:.6f}"
        rows.append([str(place), network, auc, f"{ahead:+.6f}", interval(found)])
    rows.append([str(len(ranked)), ranked[-1], f"{scores[ranked[-1]].auc:.6f}", "–", "–"])
    return [
        Section(
            anchor="order",
            title="The networks in their order",
            look_for="intervals above 0: the network is better than the next one; the others cannot"
            " be told apart.",
            finding="Leads over the next network whose interval is above 0:"
            f" {told_apart} of {len(ranked) - 1}.",
            blocks=[Table(["place", "network", "AUC", "lead over the next", "95 %"], rows)],
        )
    ]


def interval(found: TrainingDifference) -> str:
    """[low, high]."""
    return f"[{found.low:+.6f}, {found.high:+.6f}]"
