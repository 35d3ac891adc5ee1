"""Whether scores separate the classes, and whether probabilities equal observed click rates."""

import numpy as np
from scipy.special import expit
from scipy.special import logit as to_logit

from cv.calibration import Reliability, log_loss, reliability
from pipeline.reporting import drawing
from pipeline.reporting.blocks import Figure, Grid, Note, Numbers, Section
from pipeline.reporting.formatting import short_count
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import SUBMISSION, Run, ScoredRows

BINS = 60
TICKS = {p: f"{100 * p:g}%" for p in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)}
MIN_GAP = 0.14  # of the width: labels of ticks nearer to each other than that would touch
TOLERANCE = 0.01  # probabilities this near to the observed shares count as equal to them
N_CHANCE = 1.5  # times the ECE that chance alone gives; less counts as chance


def section(run: Run) -> Section:
    scored = [(run.valid, SUBMISSION), *((run.held_out, model) for model in run.models)]
    tables = {m: reliability(rows.label, rows.logits[m]) for rows, m in scored}
    limits = limits_of([rows.logits[model] for rows, model in scored])
    figures = [_figure(run, rows, model, tables[model], limits) for rows, model in scored]
    return Section(
        anchor="calibration",
        title="Distributions and calibration",
        look_for="points on the dashed diagonal: there predicted probabilities equal observed"
        " click rates.",
        finding=_finding(run, tables),
        blocks=[Grid(figures), Note(_note(run))],
        numbers=[_distributions(scored, limits), _reliability(tables)],
    )


def histogram(
    label: np.ndarray, logit: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) and shares (2, BINS) of negatives and positives; the outermost bins include
    what lies beyond `limits`.
    """
    edges = np.linspace(*limits, BINS + 1)
    bins = np.clip(np.searchsorted(edges, logit, "right") - 1, 0, BINS - 1)
    counts = np.bincount(bins + BINS * (np.asarray(label) == 1), minlength=2 * BINS)
    counts = counts.reshape(2, BINS)
    return edges, counts / np.maximum(counts.sum(1, keepdims=True), 1)


def limits_of(logits: list[np.ndarray]) -> tuple[float, float]:
    """Low and high that include all but 1 % at each end of every array."""
    ends = [np.quantile(logit, (0.01, 0.99)) for logit in logits]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    return (low, high) if high > low else (low - 1, high + 1)


def tendency(bins: Reliability) -> str:
    """What is wrong with the probabilities, if more than chance and TOLERANCE explain."""
    if bins.ece <= max(TOLERANCE, N_CHANCE * chance_ece(bins)):
        return "calibrated"
    if bins.slope < 0.9:
        return "overconfident"
    if bins.slope > 1.1:
        return "underconfident"
    if abs(bins.bias) > TOLERANCE:
        return "too high" if bins.bias > 0 else "too low"
    return "bent"  # around the diagonal


def chance_ece(bins: Reliability) -> float:
    """The ECE of perfect probabilities to expect: Σ_b n_b / N · sqrt(2 p_b (1 - p_b) / (π n_b))."""
    p, n = bins.predicted, bins.count
    return float(n / n.sum() @ np.sqrt(2 * p * (1 - p) / (np.pi * n)))


def verdict(bins: Reliability) -> str:
    """The tendency in words: how far off at worst, or what chance alone explains."""
    text = tendency(bins)
    if text != "calibrated":
        gap = bins.predicted - bins.observed
        widest = int(np.abs(gap).argmax())
        side = "high" if gap[widest] > 0 else "low"
        return (
            f"{text}, at worst {abs(gap[widest]):.2f} too {side} (at {bins.predicted[widest]:.2f})"
        )
    if bins.ece <= TOLERANCE:
        return text
    return f"{text}, as far as {short_count(int(bins.count.sum()))} rows can tell"


def _finding(run: Run, tables: dict[str, Reliability]) -> str:
    by_ece = sorted(run.models, key=lambda model: tables[model].ece)
    best, worst = by_ece[0], by_ece[-1]
    text = f"Probabilities of {best} are off by {tables[best].ece:.3f} on average (ECE)"
    text += f", those of {worst} by {tables[worst].ece:.3f}" if worst != best else ""
    text += f"; those of the submission, on official valid, by {tables[SUBMISSION].ece:.3f}"
    external = run.blend.get("external")
    text += f" before {external['file']} is mixed in." if external else "."
    if run.blend["chosen"].startswith("rank"):
        text += " Mean ranks are not probabilities, which does not change the AUC."
    return text


def _note(run: Run) -> str:
    return (
        f"Networks: {short_count(len(run.held_out))} {run.held_out.name}; submission:"
        f" {short_count(len(run.valid))} rows of official valid. Above: distribution of the scores,"
        " as probabilities on the scale of logits; the outermost bars include what lies beyond."
        " Below: share of clicks in 15 bins of equal counts, with what chance makes of it in 95 of"
        " 100 samples; dashed is perfect. A slope below 1 means overconfident (too extreme), above"
        " 1 underconfident."
    )


def _figure(
    run: Run, rows: ScoredRows, model: str, bins: Reliability, limits: tuple[float, float]
) -> Figure:
    canvas, (above, below) = drawing.canvas(height=360, nrows=2, height_ratios=(2, 3))
    colour = drawing.INK if model == SUBMISSION else drawing.colour(run.models.index(model))
    overlap = _distribution(above, rows, model, colour, limits)
    _diagram(below, bins, colour)
    strips = _strips(above, below, rows, model, bins, limits)
    loss = log_loss(rows.label, rows.logits[model])
    caption = (
        f"log loss {loss:.4f}, ECE {bins.ece:.3f}, slope {bins.slope:.2f}: {verdict(bins)};"
        f" the two classes overlap by {overlap:.0%}"
    )
    svg = drawing.svg(canvas, f"Scores of {model} by label, and reliability: {caption}", *strips)
    return Figure(svg, caption, f"{model}, {rows.name}" if model == SUBMISSION else model)


def _strips(
    above, below, rows: ScoredRows, model: str, bins: Reliability, limits: tuple[float, float]
) -> tuple[Strips, Strips]:
    edges, shares = histogram(rows.label, rows.logits[model], limits)
    middle = (edges[1:] + edges[:-1]) / 2
    texts = [
        f"about {p:.1%}: {no:.1%} of what was not clicked, {yes:.1%} of the clicked"
        for p, no, yes in zip(expit(middle), *shares, strict=True)
    ]
    pairs = zip(bins.predicted, bins.observed, bins.count, strict=True)
    reliable = [f"predicted {p:.4f}, clicked {o:.4f} of {n:,} rows" for p, o, n in pairs]
    return Strips([above], middle, texts), Strips([below], bins.predicted, reliable)


def _distributions(scored: list[tuple[ScoredRows, str]], limits: tuple[float, float]) -> Numbers:
    columns = ["model", "logit from", "logit to", "share of not clicked", "share of clicked"]
    lines = []
    for rows, model in scored:
        edges, shares = histogram(rows.label, rows.logits[model], limits)
        lines += [[model, *line] for line in zip(edges[:-1], edges[1:], *shares, strict=True)]
    return Numbers("distributions", columns, lines)


def _reliability(tables: dict[str, Reliability]) -> Numbers:
    columns = ["model", "predicted probability", "share of clicks", "rows"]
    lines = [
        [model, *line]
        for model, bins in tables.items()
        for line in zip(bins.predicted, bins.observed, bins.count, strict=True)
    ]
    return Numbers("reliability", columns, lines)


def _distribution(axes, rows: ScoredRows, model: str, colour: str, limits) -> float:
    """Draw both classes; returns the share of either that lies under both curves."""
    edges, shares = histogram(rows.label, rows.logits[model], limits)
    middle, top = (edges[1:] + edges[:-1]) / 2, shares.max()
    centres = shares @ middle / np.maximum(shares.sum(1), 1e-12)
    between = centres.mean()
    classes = ((drawing.FAINT, "not clicked", -4, "right"), (colour, "clicked", 4, "left"))
    for share, (ink, name, shift, side) in zip(shares, classes, strict=True):
        axes.stairs(share, edges, fill=True, fc=(ink, 0.3), ec=ink, lw=1.3)
        axes.annotate(
            name, (between, 1.1 * top), (shift, 0), textcoords="offset points", ha=side, color=ink
        )
    axes.set_ylim(0, 1.25 * top)
    axes.set_yticks([])
    axes.set_xlim(limits)
    ticks = _ticks(limits)
    axes.set_xticks(to_logit(ticks), [TICKS[p] for p in ticks])
    return float(np.minimum(*shares).sum())


def _ticks(limits: tuple[float, float]) -> list[float]:
    """Probabilities to mark, from the middle outwards, none too near to another."""
    ticks: list[float] = []
    for p in sorted(TICKS, key=lambda p: abs(to_logit(p))):
        z, gap = to_logit(p), MIN_GAP * (limits[1] - limits[0])
        if limits[0] <= z <= limits[1] and all(abs(z - to_logit(q)) > gap for q in ticks):
            ticks.append(p)
    return sorted(ticks)


def _diagram(axes, bins: Reliability, colour: str) -> None:
    axes.plot([0, 1], [0, 1], color=drawing.FAINT, lw=1, ls=(0, (4, 3)))
    half = 1.96 * np.sqrt(bins.observed * (1 - bins.observed) / bins.count)
    axes.errorbar(
        bins.predicted, bins.observed, yerr=half, fmt="o-", color=colour, ms=4, elinewidth=0.9
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    quarters = ([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_xticks(*quarters)
    axes.set_yticks(*quarters)
    axes.set_xlabel("predicted probability")
    drawing.heading(axes, "share of clicks")
