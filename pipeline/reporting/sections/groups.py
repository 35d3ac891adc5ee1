"""Where the models are good: AUC by length of the history and by popularity of the target item.

Every row is in one group; a group's AUC compares rows inside it only. Bars are the 95 % interval
of Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve", Radiology 143:

    var = (A (1 - A) + (P - 1)(A / (2 - A) - A²) + (N - 1)(2A² / (1 + A) - A²)) / (P N)
"""

from typing import NamedTuple

import numpy as np

from cv.auc import auc
from pipeline.reporting import drawing
from pipeline.reporting.page import Html, Section, figure, grid
from pipeline.reporting.run import Run
from pipeline.reporting.wording import count, listed

GROUPS = 6
FEWEST = 20  # rows of either class, below which a group's AUC says nothing


class Groups(NamedTuple):
    """Which group (N,) a row is in, and what the groups are called."""

    of_row: np.ndarray  # (N,) int64
    names: list[str]


class GroupAuc(NamedTuple):
    """Per group, NaN where a class has too few rows."""

    auc: np.ndarray  # (G,) float64
    half: np.ndarray  # (G,) float64, half of the 95 % interval


def sections(run: Run) -> list[Section]:
    held = run.held
    kinds = (
        ("AUC by history length", "items in the history", held.history),
        ("AUC by item popularity", "train rows of other folds with the same item", held.shows),
    )
    return [_section(run, title, what, values) for title, what, values in kinds]


def groups_of(values: np.ndarray, n_groups: int = GROUPS) -> Groups:
    """Groups of about equal counts of (N,) non-negative integers; zero is one of its own."""
    positive, known = values[values > 0], np.unique(values)
    inner = np.arange(n_groups) / n_groups
    lowest = np.quantile(positive, inner, method="higher") if len(positive) else []
    edges = np.unique([*known[:1], *lowest])  # each the lowest value of its group
    last = known[np.r_[np.searchsorted(known, edges[1:]), len(known)] - 1]
    ranges = [_range(int(a), int(b)) for a, b in zip(edges, last, strict=True)]
    ranges[-1] = count(int(edges[-1])) if edges[-1] == last[-1] else f"≥ {count(int(edges[-1]))}"
    return Groups(np.searchsorted(edges, values, "right") - 1, ranges)


def auc_by(groups: Groups, label: np.ndarray, logit: np.ndarray) -> GroupAuc:
    """The AUC inside each group."""
    n_groups = len(groups.names)
    n = np.bincount(groups.of_row, minlength=n_groups)
    n_positive = np.bincount(groups.of_row[label == 1], minlength=n_groups)
    order = np.argsort(groups.of_row, kind="stable")
    parts = np.split(order, np.cumsum(n)[:-1])
    few = np.minimum(n_positive, n - n_positive) < FEWEST
    area = np.array(
        [
            np.nan if bad else auc(label[part], logit[part])
            for part, bad in zip(parts, few, strict=True)
        ]
    )
    return GroupAuc(area, 1.96 * hanley_mcneil(area, n_positive, n - n_positive))


def hanley_mcneil(area: np.ndarray, n_positive: np.ndarray, n_negative: np.ndarray) -> np.ndarray:
    """Standard error (G,) of AUCs `area` (G,)."""
    square = area**2
    variance = area * (1 - area)
    variance += (n_positive - 1) * (area / (2 - area) - square)
    variance += (n_negative - 1) * (2 * square / (1 + area) - square)
    return np.sqrt(variance / np.maximum(n_positive * n_negative, 1))


def _range(first: int, last: int) -> str:
    return count(first) if first == last else f"{count(first)}–{count(last)}"


def _section(run: Run, title: str, what: str, values: np.ndarray) -> Section:
    held, groups = run.held, groups_of(values)
    scored = {m: auc_by(groups, held.label, logit) for m, logit in held.logits.items()}
    share = np.bincount(groups.of_row, minlength=len(groups.names)) / len(held)
    drawn = [_figure(run, model, groups, scored, share, what) for model in run.models]
    return Section(title=title, said=_said(groups, scored, what), body=grid(drawn))


def _known(scored: dict[str, GroupAuc]) -> np.ndarray:
    """Groups that have an AUC: they hold the same rows for every model."""
    return np.flatnonzero(np.isfinite(next(iter(scored.values())).auc))


def _said(groups: Groups, scored: dict[str, GroupAuc], what: str) -> str:
    known, names = _known(scored), np.array(groups.names)
    few = [name for g, name in enumerate(names) if g not in known]
    left_out = f" Not shown for want of rows: “{listed(few)}”." if few else ""
    if not len(known):
        return f"No group by {what} has {FEWEST} rows of each class."
    mean = np.mean([found.auc[known] for found in scored.values()], axis=0)
    text = f"By {what}, mean AUC is highest at {names[known][mean.argmax()]} ({mean.max():.3f})"
    text += f" and lowest at {names[known][mean.argmin()]} ({mean.min():.3f})."
    if len(scored) > 1:
        leaders = sorted({max(scored, key=lambda m: scored[m].auc[g]) for g in known})
        every = "leads in every group" if len(leaders) == 1 else "lead in some group each"
        text += f" {listed(leaders)} {every}."
    return f"{text}{left_out} Below each group, its share of the rows; bars are 95% intervals."


def _figure(
    run: Run, model: str, groups: Groups, scored: dict[str, GroupAuc], share: np.ndarray, what: str
) -> Html:
    made, axes = drawing.canvas(height=235)
    known, colour = _known(scored), drawing.series(run.models.index(model))
    x, mine = np.arange(len(known)), scored[model]
    for other, found in scored.items():
        if other != model:
            axes.plot(x, found.auc[known], color=drawing.FAINT, lw=1, alpha=0.6)
    half = mine.half[known]
    axes.errorbar(x, mine.auc[known], yerr=half, fmt="o-", color=colour, ms=5, elinewidth=1.2)
    if len(known):
        ends = np.array([(s.auc - s.half, s.auc + s.half) for s in scored.values()])[..., known]
        low, high = ends.min(), ends.max()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    labels = [f"{groups.names[g]}\n{share[g]:.0%}" for g in known]
    axes.set_xticks(x, labels)
    axes.set_xlim(-0.4, len(x) - 0.6)
    axes.set_xlabel(what)
    drawing.heading(axes, "AUC")
    said = f"from {mine.auc[known[0]]:.3f} to {mine.auc[known[-1]]:.3f}" if len(known) else "no AUC"
    drawn = drawing.svg(made, f"AUC of {model} by {what}: {said}")
    return figure(drawn, said + "; grey: the others" * (len(scored) > 1), model)
