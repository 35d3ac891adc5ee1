"""What goes into the blend: how alike the networks are, weights, what the stacker looks at."""

import numpy as np

from pipeline.reporting.blocks import Bar, Block, Cell, Grid, Section, Shaded, Table, Titled
from pipeline.reporting.formatting import enumeration, readable
from pipeline.reporting.run import Run
from pipeline.reporting.sections.headline import used_models

N_COLUMNS = 12  # of the stacker, that are listed


def section(run: Run) -> Section | None:
    importances = run.blend.get("importances")
    if len(run.models) < 2 and not importances:
        return None
    correlation = correlations(run)
    blocks: list[Block] = []
    if len(run.models) > 1:
        blocks.append(Titled("Correlation of logits", [_correlations(run, correlation)]))
        blocks.append(Titled("Weights", [_weights(run)]))
    if importances:
        blocks.append(Titled("What the stacker looks at", [_importances(importances)]))
    return Section(
        anchor="blend",
        title="The blend",
        look_for="networks that are strong and little correlated: they gain most from a blend.",
        finding=_finding(run, correlation),
        blocks=[Grid(blocks, wide=True)],
    )


def correlations(run: Run) -> np.ndarray:
    """Pearson correlations of the logits on held-out rows, (M, M) float64.

    Equal logits, of a network that learned nothing or of rows that are alike, correlate with none.
    """
    with np.errstate(invalid="ignore"):
        found = np.corrcoef([run.held_out.logits[model] for model in run.models])
    return np.where(np.isnan(np.atleast_2d(found)), np.eye(len(run.models)), found)


def _finding(run: Run, correlation: np.ndarray) -> str:
    if len(run.models) < 2:
        return "One network, and a stacker on top of it."
    pairs = np.triu_indices(len(run.models), 1)
    lowest = int(np.argmin(correlation[pairs]))
    a, b = (run.models[index[lowest]] for index in pairs)
    text = f"{a} and {b} are the least correlated ({correlation[pairs][lowest]:.3f})."
    used = used_models(run)
    unused = [model for model in run.models if model not in used]
    if unused and len(used) > 1:
        text += f" The submitted blend does not use {enumeration(unused)}."
    return text


def _correlations(run: Run, correlation: np.ndarray) -> Table:
    pairs = correlation[np.triu_indices(len(correlation), 1)]
    low = pairs.min() - 0.1 * (1 - pairs.min())  # the least correlated pair is the palest
    rows = [
        [model, *(Shaded(f"{r:.3f}", (r - low) / (1 - low) if low < 1 else 1) for r in line)]
        for model, line in zip(run.models, correlation, strict=True)
    ]
    return Table(["", *run.models], rows)


def _weights(run: Run) -> Table:
    rows, bold = [], -1
    for name, blender in run.blend["blenders"].items():
        weights = blender.get("weights")
        if weights and set(weights) & set(run.models):  # or they weigh other blenders
            bold = len(rows) if name == run.blend["chosen"] else bold
            rows.append([readable(name), *(_weight(weights.get(model)) for model in run.models)])
    return Table(["", *run.models], rows, bold)


def _weight(weight: float | None) -> Cell:
    return "-" if weight is None else Shaded(f"{weight:z.2f}", abs(weight))


def _importances(importances: dict[str, float]) -> Table:
    ranked = sorted(importances.items(), key=lambda pair: (-pair[1], pair[0]))
    total = sum(importances.values()) or 1.0
    highest = ranked[0][1] or 1.0
    top = [(column, gain) for column, gain in ranked[:N_COLUMNS] if gain > 0]
    rows = [[column, f"{gain / total:.1%}", Bar(gain / highest)] for column, gain in top]
    if len(ranked) > len(top):
        rest = sum(gain for _, gain in ranked[len(top) :])
        others = f"{len(ranked) - len(top)} others"
        rows.append([others, f"{rest / total:.1%}", Bar(rest / highest)])
    return Table(["column", "share of gain", ""], rows)
