"""Where the networks are strong: AUC by length of the history and by popularity of the item.

Every row is in one group; a group's AUC compares rows of that group only. Bars are the 95 %
interval of Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve",
Radiology 143:

    var = (A (1 - A) + (P - 1)(A / (2 - A) - A²) + (N - 1)(2A² / (1 + A) - A²)) / (P N)
"""

from typing import NamedTuple

import numpy as np

from cv.auc import auc
from pipeline.reporting import drawing
from pipeline.reporting.blocks import Figure, Grid, Numbers, Section
from pipeline.reporting.formatting import enumeration, short_count
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import Run

N_GROUPS = 6
MIN_ROWS = 20  # of either class; the AUC of a smaller group is left out


class Groups(NamedTuple):
    """The group of every row, and the names of the groups."""

    of_row: np.ndarray  # (N,) int64
    names: list[str]  # (G,)


class GroupAuc(NamedTuple):
    """Per group, NaN where a class has too few rows."""

    auc: np.ndarray  # (G,) float64
    half: np.ndarray  # (G,) float64, half of the 95 % interval


def by_history_length(run: Run) -> Section:
    return _section(
        run,
        anchor="history-length",
        title="AUC by history length",
        look_for="lengths at which every network is weak: a new feature can gain most there.",
        quantity="items in the history",
        values=run.held_out.history,
    )


def by_item_popularity(run: Run) -> Section:
    return _section(
        run,
        anchor="item-popularity",
        title="AUC by item popularity",
        look_for="a network that holds up on rare items, where item ids say little.",
        quantity="train rows of other folds with the same item",
        values=run.held_out.shows,
    )


def groups_of(values: np.ndarray, n_groups: int = N_GROUPS) -> Groups:
    """Groups of about equal size of (N,) non-negative integers; zero has a group of its own."""
    positive, distinct = values[values > 0], np.unique(values)
    shares = np.arange(n_groups) / n_groups
    quantiles = np.quantile(positive, shares, method="higher") if len(positive) else []
    lowest = np.unique([*distinct[:1], *quantiles])  # of each group
    highest = distinct[np.r_[np.searchsorted(distinct, lowest[1:]), len(distinct)] - 1]
    names = [_range(int(a), int(b)) for a, b in zip(lowest, highest, strict=True)]
    if lowest[-1] != highest[-1]:
        names[-1] = f"≥ {short_count(int(lowest[-1]))}"
    return Groups(np.searchsorted(lowest, values, "right") - 1, names)


def auc_by(groups: Groups, label: np.ndarray, logit: np.ndarray) -> GroupAuc:
    """The AUC inside each group."""
    n_groups = len(groups.names)
    n = np.bincount(groups.of_row, minlength=n_groups)
    n_positive = np.bincount(groups.of_row[label == 1], minlength=n_groups)
    order = np.argsort(groups.of_row, kind="stable")
    parts = np.split(order, np.cumsum(n)[:-1])
    few = np.minimum(n_positive, n - n_positive) < MIN_ROWS
    area = np.array(
        [
            np.nan if too_few else auc(label[part], logit[part])
            for part, too_few in zip(parts, few, strict=True)
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
    if first == last:
        return short_count(first)
    return f"{short_count(first)}–{short_count(last)}"


def _section(
    run: Run, *, anchor: str, title: str, look_for: str, quantity: str, values: np.ndarray
) -> Section:
    rows, groups = run.held_out, groups_of(values)
    aucs = {model: auc_by(groups, rows.label, logit) for model, logit in rows.logits.items()}
    share = np.bincount(groups.of_row, minlength=len(groups.names)) / len(rows)
    figures = [_figure(run, model, groups, aucs, share, quantity) for model in run.models]
    return Section(
        anchor=anchor,
        title=title,
        look_for=look_for,
        finding=_finding(groups, aucs, quantity),
        blocks=[Grid(figures)],
        numbers=[_numbers(anchor, groups, aucs, share, quantity)],
    )


def _shown(aucs: dict[str, GroupAuc]) -> np.ndarray:
    """The groups with an AUC, the same ones for every model."""
    return np.flatnonzero(np.isfinite(next(iter(aucs.values())).auc))


def _finding(groups: Groups, aucs: dict[str, GroupAuc], quantity: str) -> str:
    shown, names = _shown(aucs), np.array(groups.names)
    if not len(shown):
        return f"No group by {quantity} has {MIN_ROWS} rows of each class."
    mean = np.mean([each.auc[shown] for each in aucs.values()], axis=0)
    text = f"By {quantity}, mean AUC is highest at {names[shown][mean.argmax()]} ({mean.max():.3f})"
    text += f" and lowest at {names[shown][mean.argmin()]} ({mean.min():.3f})."
    if len(aucs) > 1:
        leaders = sorted({max(aucs, key=lambda model: aucs[model].auc[g]) for g in shown})
        verb = "leads in every group" if len(leaders) == 1 else "each lead in some group"
        text += f" {enumeration(leaders)} {verb}."
    few = [name for g, name in enumerate(names) if g not in shown]
    if few:
        text += f" Left out for lack of rows: “{enumeration(few)}”."
    return f"{text} Below each group stands its share of the rows; bars are 95% intervals."


def _numbers(
    anchor: str, groups: Groups, aucs: dict[str, GroupAuc], share: np.ndarray, quantity: str
) -> Numbers:
    columns = ["model", quantity, "share of rows", "AUC", "95% low", "95% high"]
    rows = [
        [model, name, share[g], own.auc[g], own.auc[g] - own.half[g], own.auc[g] + own.half[g]]
        for model, own in aucs.items()
        for g, name in enumerate(groups.names)
    ]
    return Numbers(anchor, columns, rows)


def _text(name: str, share: float, quantity: str, aucs: dict[str, GroupAuc], g: int) -> str:
    """The AUCs of one group, as text."""
    lines = [f"{model}: {own.auc[g]:.4f} ± {own.half[g]:.4f}" for model, own in aucs.items()]
    return "\n".join([f"{name} {quantity}, {share:.1%} of the rows", *lines])


def _figure(
    run: Run,
    model: str,
    groups: Groups,
    aucs: dict[str, GroupAuc],
    share: np.ndarray,
    quantity: str,
) -> Figure:
    canvas, axes = drawing.canvas(height=235)
    shown, colour = _shown(aucs), drawing.colour(run.models.index(model))
    x, own = np.arange(len(shown)), aucs[model]
    for name, other in aucs.items():
        if name != model:
            axes.plot(x, other.auc[shown], color=drawing.FAINT, lw=1, alpha=0.6)
    half = own.half[shown]
    axes.errorbar(x, own.auc[shown], yerr=half, fmt="o-", color=colour, ms=5, elinewidth=1.2)
    if len(shown):
        ends = np.array([(a.auc - a.half, a.auc + a.half) for a in aucs.values()])[..., shown]
        low, high = ends.min(), ends.max()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.set_xticks(x, [f"{groups.names[g]}\n{share[g]:.0%}" for g in shown])
    axes.set_xlim(-0.4, len(x) - 0.6)
    axes.set_xlabel(quantity)
    drawing.heading(axes, "AUC")
    caption = "no AUC"
    if len(shown):
        caption = f"from {own.auc[shown[0]]:.3f} to {own.auc[shown[-1]]:.3f}"
    texts = [_text(groups.names[g], share[g], quantity, aucs, g) for g in shown]
    strips = Strips([axes], x, texts)
    svg = drawing.svg(canvas, f"AUC of {model} by {quantity}: {caption}", strips)
    return Figure(svg, caption + "; grey: the others" * (len(aucs) > 1), model)
