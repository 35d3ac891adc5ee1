"""Whether scores separate the classes, and whether probabilities mean what they say."""

import numpy as np
from scipy.special import logit as to_logit

from cv.calibration import Reliability, log_loss, reliability
from pipeline.reporting import drawing
from pipeline.reporting.page import Html, Section, figure, grid, join, note
from pipeline.reporting.run import SHIPPED, Run, Scored
from pipeline.reporting.wording import count

BINS = 60
TICKS = {p: f"{100 * p:g}%" for p in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)}
GAP = 0.07  # of the width: ticks nearer to each other than that would touch
FINE = 0.01  # mean probability may be off by so much and count as observed


def section(run: Run) -> Section:
    judged = [(run.held, model) for model in run.models] + [(run.valid, SHIPPED)]
    tables = {m: reliability(rows.label, rows.logits[m]) for rows, m in judged}
    limits = limits_of([rows.logits[model] for rows, model in judged])
    return Section(
        title="Distributions and calibration",
        said=_said(run, tables),
        body=join([
            grid(_figure(run, rows, model, tables[model], limits) for rows, model in judged),
            note(_note(run)),
        ]),
    )  # fmt: skip


def histogram(
    label: np.ndarray, logit: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) and shares (2, BINS) of negatives and positives; the ends hold the rest."""
    edges = np.linspace(*limits, BINS + 1)
    place = np.clip(np.searchsorted(edges, logit, "right") - 1, 0, BINS - 1)
    counts = np.bincount(place + BINS * (np.asarray(label) == 1), minlength=2 * BINS)
    counts = counts.reshape(2, BINS)
    return edges, counts / np.maximum(counts.sum(1, keepdims=True), 1)


def limits_of(logits: list[np.ndarray]) -> tuple[float, float]:
    """What holds all but a hundredth at each end of every array."""
    ends = [np.quantile(logit, (0.01, 0.99)) for logit in logits]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    return (low, high) if high > low else (low - 1, high + 1)


def tendency(bins: Reliability) -> str:
    """Whether probabilities are too extreme, too timid, too high or too low."""
    if bins.slope < 0.9:
        return "too extreme"
    if bins.slope > 1.1:
        return "too timid"
    if abs(bins.bias) > FINE:
        return "too high" if bins.bias > 0 else "too low"
    return "as observed"


def _said(run: Run, tables: dict[str, Reliability]) -> str:
    by_ece = sorted(run.models, key=lambda model: tables[model].ece)
    best, worst = by_ece[0], by_ece[-1]
    text = f"Probabilities of {best} are off by {tables[best].ece:.3f} on average (ECE)"
    text += f", those of {worst} by {tables[worst].ece:.3f}" if worst != best else ""
    mixed = (
        f" before {run.blend['external']['file']} is mixed in" if "external" in run.blend else ""
    )
    text += f"; of what ships{mixed}, on official valid, by {tables[SHIPPED].ece:.3f}."
    ranks = run.blend["chosen"].startswith("rank")
    return text + " Mean ranks are no probabilities: AUC does not mind, bids would." * ranks


def _note(run: Run) -> str:
    return (
        f"{count(len(run.held))} {run.held.what}; for what ships, {count(len(run.valid))} rows of"
        " official valid. Above: scores as probabilities, on the scale of logits; the outermost"
        " bars hold what lies beyond. Below: share of clicks in 15 bins of equal counts; dashed is"
        " perfect. A slope below 1 says too extreme, above 1 too timid."
    )


def _figure(
    run: Run, rows: Scored, model: str, bins: Reliability, limits: tuple[float, float]
) -> Html:
    made, (above, below) = drawing.canvas(height=360, nrows=2, height_ratios=(2, 3))
    colour = drawing.INK if model == SHIPPED else drawing.series(run.models.index(model))
    overlap = _distribution(above, rows, model, colour, limits)
    _diagram(below, bins, colour)
    loss = log_loss(rows.label, rows.logits[model])
    caption = (
        f"log loss {loss:.4f}, ECE {bins.ece:.3f}, slope {bins.slope:.2f}: {tendency(bins)};"
        f" {overlap:.0%} of the two classes overlap"
    )
    drawn = drawing.svg(made, f"Scores of {model} by label, and reliability: {caption}")
    return figure(drawn, caption, f"{model}, {rows.what}:" if model == SHIPPED else model)


def _distribution(axes, rows: Scored, model: str, colour: str, limits) -> float:
    """Draw both classes; returns the share that they have in common."""
    edges, shares = histogram(rows.label, rows.logits[model], limits)
    middle, top = (edges[1:] + edges[:-1]) / 2, shares.max()
    centres = shares @ middle / np.maximum(shares.sum(1), 1e-12)
    between = centres.mean()
    kinds = ((drawing.FAINT, "not clicked", -4, "right"), (colour, "clicked", 4, "left"))
    for share, (ink, said, shift, side) in zip(shares, kinds, strict=True):
        axes.stairs(share, edges, fill=True, color=ink, alpha=0.3)
        axes.stairs(share, edges, color=ink, lw=1.3)
        axes.annotate(
            said, (between, 1.1 * top), (shift, 0), textcoords="offset points", ha=side, color=ink
        )
    axes.set_ylim(0, 1.25 * top)
    axes.set_yticks([])
    axes.set_xlim(limits)
    ticks = _ticks(limits)
    axes.set_xticks(to_logit(ticks), [TICKS[p] for p in ticks])
    return float(np.minimum(*shares).sum())


def _ticks(limits: tuple[float, float]) -> list[float]:
    """Probabilities to mark, from the middle outwards, none too near to another."""
    kept: list[float] = []
    for p in sorted(TICKS, key=lambda p: abs(to_logit(p))):
        z, apart = to_logit(p), GAP * (limits[1] - limits[0])
        if limits[0] <= z <= limits[1] and all(abs(z - to_logit(q)) > 2 * apart for q in kept):
            kept.append(p)
    return sorted(kept)


def _diagram(axes, bins: Reliability, colour: str) -> None:
    axes.plot([0, 1], [0, 1], color=drawing.FAINT, lw=1, ls=(0, (4, 3)))
    axes.plot(bins.predicted, bins.observed, "o-", color=colour, ms=4.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    quarters = ([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_xticks(*quarters)
    axes.set_yticks(*quarters)
    axes.set_xlabel("predicted probability")
    drawing.heading(axes, "share of clicks")
