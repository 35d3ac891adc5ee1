"""What goes into the blends: how alike the networks are, weights, what the stacker looks at."""

import numpy as np

from pipeline.reporting.page import Html, Section, bar, grid, markup, shaded, table
from pipeline.reporting.run import Run
from pipeline.reporting.sections.headline import used
from pipeline.reporting.wording import listed, name

TOP = 12  # columns of the stacker that are listed


def section(run: Run) -> Section | None:
    if len(run.models) < 2 and not run.blend.get("importances"):
        return None
    correlation, parts = correlations(run), []
    if len(run.models) > 1:
        parts.append(_headed("Correlation of logits", _correlations(run, correlation)))
        parts.append(_headed("Weights", _weights(run)))
    if run.blend.get("importances"):
        importances = _importances(run.blend["importances"])
        parts.append(_headed("What the stacker looks at", importances))
    return Section(title="The blend", said=_said(run, correlation), body=grid(parts, wide=True))


def correlations(run: Run) -> np.ndarray:
    """Pearson's, of the logits on held-out rows, (M, M)."""
    return np.atleast_2d(np.corrcoef([run.held.logits[model] for model in run.models]))


def _said(run: Run, correlation: np.ndarray) -> str:
    if len(run.models) < 2:
        return "One network, and a stacker above it."
    pairs = np.triu_indices(len(run.models), 1)
    lowest = int(np.argmin(correlation[pairs]))
    a, b = (run.models[index[lowest]] for index in pairs)
    text = f"{a} and {b} are the least alike ({correlation[pairs][lowest]:.3f}):"
    text += " what networks disagree on is what a blend can gain."
    unused = [model for model in run.models if model not in used(run)]
    if unused and len(used(run)) > 1:
        text += f" The blend that ships does without {listed(unused)}."
    return text


def _headed(title: str, body: Html) -> Html:
    return Html(f"<h3>{markup(title)}</h3>{body}")


def _correlations(run: Run, correlation: np.ndarray) -> Html:
    pairs = correlation[np.triu_indices(len(correlation), 1)]
    low = pairs.min() - 0.1 * (1 - pairs.min())  # the least alike pair is the palest
    rows = [
        [model, *(shaded(f"{r:.3f}", (r - low) / (1 - low) if low < 1 else 1) for r in line)]
        for model, line in zip(run.models, correlation, strict=True)
    ]
    return table(["", *run.models], rows)


def _weights(run: Run) -> Html:
    rows, bold = [], -1
    for way, judged in run.blend["blenders"].items():
        weights = judged.get("weights")
        if weights:
            bold = len(rows) if way == run.blend["chosen"] else bold
            cells = [weights.get(model) for model in run.models]
            rows.append([name(way), *(_weight(w) for w in cells)])
    return table(["", *run.models], rows, bold)


def _weight(weight: float | None) -> Html | str:
    return "-" if weight is None else shaded(f"{weight:.2f}", abs(weight))


def _importances(importances: dict[str, float]) -> Html:
    ranked = sorted(importances.items(), key=lambda pair: (-pair[1], pair[0]))
    total = sum(importances.values()) or 1.0
    highest = ranked[0][1] or 1.0
    top = [(column, gain) for column, gain in ranked[:TOP] if gain > 0]
    rows = [[column, f"{gain / total:.1%}", bar(gain / highest)] for column, gain in top]
    if len(ranked) > len(top):
        rest = sum(gain for _, gain in ranked[len(top) :])
        rows.append(
            [f"{len(ranked) - len(top)} others", f"{rest / total:.1%}", bar(rest / highest)]
        )
    return table(["column", "share of gain", ""], rows)
