"""Whether scores separate the classes, and whether probabilities mean what they say."""

import numpy as np
from scipy.special import logit as to_logit

from cv.calibration import Reliability, log_loss, reliability
from pipeline.reporting import drawing
from pipeline.reporting.page import Html, Section, figure, grid, join, note
from pipeline.reporting.run import SHIPPED, Run, Scored
from pipeline.reporting.wording import count

BINS = 60
TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def section(run: Run) -> Section:
    judged = [(run.held, model) for model in run.models] + [(run.valid, SHIPPED)]
    tables = {m: reliability(rows.label, rows.logits[m]) for rows, m in judged}
    losses = {m: log_loss(rows.label, rows.logits[m]) for rows, m in judged}
    limits = _limits(run.held)
    distributions = [_distribution(run, rows, model, limits) for rows, model in judged]
    diagrams = [_diagram(run, rows, m, tables[m], losses[m]) for rows, m in judged]
    return Section(
        title="Distributions and calibration",
        said=_said(run, tables, losses),
        body=join([grid(distributions), grid(diagrams), note(_note(run))]),
    )


def histogram(
    label: np.ndarray, logit: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) and shares (2, BINS) of negatives and positives; the ends hold the rest."""
    edges = np.linspace(*limits, BINS + 1)
    place = np.clip(np.searchsorted(edges, logit, "right") - 1, 0, BINS - 1)
    counts = np.bincount(place + BINS * (np.asarray(label) == 1), minlength=2 * BINS)
    counts = counts.reshape(2, BINS)
    return edges, counts / np.maximum(counts.sum(1, keepdims=True), 1)


def _said(run: Run, tables: dict[str, Reliability], losses: dict[str, float]) -> str:
    by_ece = sorted(run.models, key=lambda model: tables[model].ece)
    low = min(run.models, key=lambda model: losses[model])
    best, worst = by_ece[0], by_ece[-1]
    text = f"Best calibrated on {run.held.what}: {best}, whose probabilities are off by"
    text += f" {tables[best].ece:.3f} on average (ECE)"
    text += f", against {tables[worst].ece:.3f} of {worst}. " if worst != best else ". "
    text += f"Lowest log loss: {low}, {losses[low]:.4f}. "
    text += f"What ships is off by {tables[SHIPPED].ece:.3f} on official valid"
    return text + ("; AUC does not mind, bids and thresholds would." if _is_rank(run) else ".")


def _is_rank(run: Run) -> bool:
    return run.blend["chosen"].startswith("rank")


def _note(run: Run) -> str:
    return (
        f"{count(len(run.held))} {run.held.what}; for what ships, {count(len(run.valid))} rows of"
        " official valid. Reliability in 15 bins of equal counts; the dashed line is perfect."
    )


def _limits(rows: Scored) -> tuple[float, float]:
    """Logits that hold all but a two-hundredth at each end, of every model."""
    ends = [np.quantile(logit, (0.005, 0.995)) for logit in rows.logits.values()]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return (float(low), float(high)) if high > low else (float(low) - 1, float(high) + 1)


def _colour(run: Run, model: str) -> str:
    return drawing.INK if model == SHIPPED else drawing.series(run.models.index(model))


def _lead(rows: Scored, model: str) -> str:
    return f"{model}, {rows.what}" if model == SHIPPED else model


def _distribution(run: Run, rows: Scored, model: str, limits: tuple[float, float]) -> Html:
    edges, (negative, positive) = histogram(rows.label, rows.logits[model], limits)
    made, axes = drawing.canvas(height=170)
    colour = _colour(run, model)
    axes.stairs(negative, edges, fill=True, color=drawing.FAINT, alpha=0.35)
    axes.stairs(negative, edges, color=drawing.FAINT, lw=1)
    axes.stairs(positive, edges, fill=True, color=colour, alpha=0.35)
    axes.stairs(positive, edges, color=colour, lw=1.4)
    middle = (edges[1:] + edges[:-1]) / 2
    top = max(negative.max(), positive.max())
    for shares, said, ink in (
        (negative, "not clicked", drawing.FAINT),
        (positive, "clicked", colour),
    ):
        centre = float(shares @ middle / shares.sum())
        axes.text(centre, 1.06 * top, said, ha="center", color=ink)
    axes.set_ylim(0, 1.2 * top)
    axes.set_yticks([])
    ticks = [p for p in TICKS if limits[0] <= to_logit(p) <= limits[1]]
    axes.set_xticks(to_logit(ticks), [f"{100 * p:g}%" for p in ticks])
    axes.set_xlim(limits)
    overlap = float(np.minimum(negative, positive).sum())
    caption = f"{overlap:.0%} of the two classes overlap"
    drawn = drawing.svg(made, f"Scores of {model} by label: {caption}")
    return figure(drawn, caption, _lead(rows, model))


def _diagram(run: Run, rows: Scored, model: str, bins: Reliability, loss: float) -> Html:
    made, axes = drawing.canvas(height=230)
    axes.plot([0, 1], [0, 1], color=drawing.FAINT, lw=1, ls=(0, (4, 3)))
    axes.plot(bins.predicted, bins.observed, "o-", color=_colour(run, model), ms=4.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_xlabel("predicted probability")
    axes.set_title("share of clicks", loc="left", fontsize=11, color=drawing.FAINT)
    caption = f"log loss {loss:.4f}, ECE {bins.ece:.3f}; {tendency(bins)}"
    drawn = drawing.svg(made, f"Reliability of {model}: {caption}")
    return figure(drawn, caption, _lead(rows, model))


def tendency(bins: Reliability) -> str:
    """Whether probabilities are too high, too low, too extreme or too timid."""
    gap = bins.predicted - bins.observed
    upper = bins.predicted > np.average(bins.predicted, weights=bins.count)
    if bins.ece < 0.005 or upper.all() or not upper.any():
        return "as observed" if bins.ece < 0.005 else "one value for all"
    high = np.average(gap[upper], weights=bins.count[upper])
    low = np.average(gap[~upper], weights=bins.count[~upper])
    if (high > 0) == (low > 0):
        return "too high" if high > 0 else "too low"
    return "too extreme" if high > 0 else "too timid"
