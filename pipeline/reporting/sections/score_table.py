"""Every network and every blend, by every yard-stick that this world has."""

import numpy as np

from pipeline.reporting import drawing, scores
from pipeline.reporting.page import Html, Section, figure, grid, join, note, table
from pipeline.reporting.run import Run
from pipeline.reporting.wording import auc, cv_words, name

GAINS = {"valid_gain": "official valid", "hidden_gain": "hidden test"}


def section(run: Run) -> Section:
    return Section(
        title="Scores",
        said=_said(run),
        body=join([grid([_figure(run), _table(run)], wide=True), _gains(run), note(_note(run))]),
    )


def _said(run: Run) -> str:
    rows = {row["name"]: row for row in run.judged["rows"]}
    by = "cv" if run.judged["rows"][0]["cv"] is not None else "valid"
    models = sorted(run.models, key=lambda model: -rows[model][by])
    what = "CV" if by == "cv" else "official valid"
    text = f"Best single network by {what}: {models[0]} with {auc(rows[models[0]][by])}."
    if by == "cv" and len(models) > 1:
        folds = run.blend["models"]
        ahead = np.subtract(folds[models[0]]["folds"], folds[models[1]]["folds"])
        text += (
            f" It leads {models[1]} by {ahead.mean():.5f},"
            f" in {(ahead > 0).sum()} of {len(ahead)} folds."
        )
    return text


def _note(run: Run) -> str:
    if run.settings.official:
        return scores.FLATTERED.strip()
    return (
        "CV of networks is the mean over folds of whole users; each fold also chose the epoch of"
        " its own fits, which flatters it a little. Blends are judged on folds that they were not"
        " fitted on (nested). Official valid chose nothing. On valid and hidden a network is the"
        " mean of its folds' fits, which CV is not."
    )


def _table(run: Run) -> Html:
    """A row a network or blend; columns in which nothing is known are left out."""
    rows = run.judged["rows"]
    columns = {
        "CV ± sd": [cv_words(row) for row in rows],
        "official valid": [auc(row["valid"]) for row in rows],
        "hidden test": [auc(row["hidden"]) for row in rows],
        "public": [auc(run.public) if _ships(run, row) else "-" for row in rows],
    }
    known = {what: cells for what, cells in columns.items() if set(cells) != {"-"}}
    lines = [[name(row["name"]), *cells] for row, *cells in zip(rows, *known.values(), strict=True)]
    bold = [_ships(run, row) for row in rows].index(True)
    first = next((i for i, row in enumerate(rows) if row["name"] in run.blend["blenders"]), None)
    if first is not None and "CV ± sd" in known:
        lines.insert(first, ["blends: nested CV"])
        bold += bold >= first
    if run.judged["bayes"] is not None:
        bayes = {"hidden test": auc(run.judged["bayes"])}
        lines.append(["Bayes", *(bayes.get(what, "-") for what in known)])
    return table(["", *known], lines, bold)


def _gains(run: Run) -> Html:
    """What blends gain on the best single network, where that was measured."""
    found = {row["name"]: [_gain(run, row, key) for key in GAINS] for row in run.judged["rows"]}
    found = {way: cells for way, cells in found.items() if set(cells) != {"-"}}
    if not found:
        return Html("")
    lines = [[name(way), *cells] for way, cells in found.items()]
    shipped = run.judged["shipped"]
    bold = list(found).index(shipped) if shipped in found else -1
    columns = ["gain over the best single network", *GAINS.values()]
    said = "In brackets the 95% interval of a paired bootstrap that draws whole users."
    return join([table(columns, lines, bold), note(said)])


def _ships(run: Run, row: dict) -> bool:
    return row["name"] == run.judged["shipped"]


def _gain(run: Run, row: dict, key: str) -> str:
    """[difference, low, high] of a paired bootstrap, where 60_blend or the judge has made one."""
    gain = row.get(key) or run.blend["blenders"].get(row["name"], {}).get(key)
    return "-" if gain is None else f"{gain[0]:+.5f} ({gain[1]:+.5f} to {gain[2]:+.5f})"


def _figure(run: Run) -> Html:
    rows, bayes = run.judged["rows"], run.judged["bayes"]
    judged = run.blend["models"] | run.blend["blenders"]
    made, axes = drawing.canvas(height=44 + 24 * len(rows))
    for y, row in enumerate(rows):
        model = run.models.index(row["name"]) if row["name"] in run.models else None
        colour = drawing.INK if model is None else drawing.series(model)
        if row["cv"] is not None:
            folds = judged[row["name"]]["folds"] if row["name"] in judged else []
            axes.plot(folds, np.full(len(folds), y), "|", color=colour, ms=8, mew=1, alpha=0.6)
            axes.plot([row["cv"] - row["sd"], row["cv"] + row["sd"]], [y, y], color=colour, lw=1.2)
            axes.plot([row["cv"]], [y], "o", color=colour, ms=8 if _ships(run, row) else 6)
        for value, marker in ((row["valid"], "s"), (row["hidden"], "D")):
            if value is not None:
                axes.plot([value], [y], marker, color=colour, ms=5.5, mfc=drawing.PAPER, mew=1.3)
    if bayes is not None:
        axes.axvline(bayes, color=drawing.FAINT, lw=1, ls=(0, (4, 3)))
        axes.annotate(
            "Bayes", (bayes, -0.75), (-5, 0), textcoords="offset points",
            ha="right", va="center", color=drawing.FAINT,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [name(row["name"]) for row in rows], color=drawing.INK)
    axes.set_ylim(len(rows) - 0.4, -1.1)
    axes.set_xlabel("AUC")
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    parts = ["● CV mean, ± sd", "| folds"] * (rows[0]["cv"] is not None) + ["□ official valid"]
    parts += ["◇ hidden test"] * (rows[0]["hidden"] is not None)
    alt = "AUC of every network and blend; the table below holds the figures"
    return figure(drawing.svg(made, alt), "   ".join(parts))
