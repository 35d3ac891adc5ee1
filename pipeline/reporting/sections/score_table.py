"""Every network and every blend, by CV, official valid, hidden test and public score."""

import numpy as np

from pipeline.reporting import drawing, scores
from pipeline.reporting.blocks import Block, Figure, Grid, Note, Numbers, Section, Table
from pipeline.reporting.formatting import auc, cv_and_sd, gain, readable
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import Run

GAINS = {"valid_gain": "official valid", "hidden_gain": "hidden test"}


def section(run: Run) -> Section:
    return Section(
        anchor="scores",
        title="Scores",
        look_for="blends that lie to the right of every single network, and scores that agree on"
        " the order.",
        finding=_finding(run),
        blocks=[Grid([_figure(run), _table(run)], wide=True), *_gains(run), Note(_note(run))],
        numbers=[_numbers(run)],
    )


def _finding(run: Run) -> str:
    rows, has_cv = {row["name"]: row for row in run.scores["rows"]}, scores.has_cv(run.scores)
    by, what = ("cv", "CV") if has_cv else ("valid", "official valid")
    models = sorted(run.models, key=lambda model: -rows[model][by])
    text = f"Best single network by {what}: {models[0]} with {auc(rows[models[0]][by])}."
    if has_cv and len(models) > 1:
        first, second = (run.blend["models"][model]["folds"] for model in models[:2])
        ahead = np.subtract(first, second)
        text += (
            f" It leads {models[1]} by {ahead.mean():.5f},"
            f" in {(ahead > 0).sum()} of {len(ahead)} folds."
        )
    return text


def _note(run: Run) -> str:
    idle = scores.idle_sentence(run.scores)
    if run.settings.official:
        return f"{scores.VALID_BIAS} {idle}".rstrip()
    text = (
        "Folds hold whole users; the CV of a blend is nested: each fold is scored by weights that"
        " were fitted on the others. Nothing was chosen on official valid. On valid and hidden test"
        " a network is the mean of its folds' fits; in CV one fit scores each row."
    )
    return " ".join(filter(None, [scores.epoch_bias(run.scores), idle, text]))


def _table(run: Run) -> Table:
    """A row for each network and blend; columns without a single value are left out.

    Blends that are compared within slates stand last.
    """
    alone, compared = scores.by_use_of_slates(run.scores)
    rows = alone + compared
    columns = {
        "CV ± sd": [cv_and_sd(row) for row in rows],
        "CV last": [auc(row["cv_last"]) for row in rows],
        "official valid": [auc(row["valid"]) for row in rows],
        "hidden test": [auc(row["hidden"]) for row in rows],
        "public": [auc(run.public) if _is_submitted(run, row) else "-" for row in rows],
    }
    columns = {title: cells for title, cells in columns.items() if set(cells) != {"-"}}
    lines = [
        [readable(row["name"]), *cells] for row, *cells in zip(rows, *columns.values(), strict=True)
    ]
    bold = [_is_submitted(run, row) for row in rows].index(True)
    first = next((i for i, row in enumerate(rows) if row["name"] in run.blend["blenders"]), None)
    if first is not None and "CV ± sd" in columns:
        lines.insert(first, ["blends: nested CV"])
        bold += bold >= first
    if compared:
        first = len(lines) - len(compared)
        lines.insert(first, ["blends compared within slates: nested CV"])
        bold += bold >= first
    for name, key in {"Bayes": "bayes", "Bayes with slates": "bayes_slates"}.items():
        if run.scores[key] is not None:
            bayes = {"hidden test": auc(run.scores[key])}
            lines.append([name, *(bayes.get(title, "-") for title in columns)])
    return Table(["", *columns], lines, bold)


def _gains(run: Run) -> list[Block]:
    """What blends gain over the best single network; nothing where that was not measured."""
    rows = scores.shown_rows(run.scores)
    gains = {row["name"]: [_gain(run, row, key) for key in GAINS] for row in rows}
    gains = {name: cells for name, cells in gains.items() if set(cells) != {"-"}}
    if not gains:
        return []
    submitted = scores.shown_submitted(run.scores)
    bold = list(gains).index(submitted) if submitted in gains else -1
    columns = ["gain over the best single network", *GAINS.values()]
    note = "In brackets: 95% interval of a paired bootstrap that draws whole users."
    return [
        Table(columns, [[readable(name), *cells] for name, cells in gains.items()], bold),
        Note(note),
    ]


def _is_submitted(run: Run, row: dict) -> bool:
    return row["name"] == scores.shown_submitted(run.scores)


def _gain(run: Run, row: dict, key: str) -> str:
    """[difference, low, high] of a paired bootstrap, from scores.json or else from blend.json."""
    return gain(row.get(key) or run.blend["blenders"].get(row["name"], {}).get(key))


def _folds(run: Run, row: dict) -> list[float]:
    """The CV of each fold, where there are any."""
    evaluated = run.blend["models"] | run.blend["blenders"]
    return evaluated.get(row["name"], {}).get("folds", []) if row["cv"] is not None else []


def _text(run: Run, row: dict) -> str:
    """The values of one row, as text."""
    lines = [f"CV {cv_and_sd(row)}"] * (row["cv"] is not None)
    folds = ", ".join(auc(score) for score in _folds(run, row))
    lines += [f"folds {folds}"] * bool(folds)
    named = {"official valid": row["valid"], "hidden test": row["hidden"]}
    lines += [f"{name} {auc(score)}" for name, score in named.items() if score is not None]
    return "\n".join([readable(row["name"]), *lines])


def _numbers(run: Run) -> Numbers:
    columns = ["name", "CV", "sd", "CV last", "official valid", "hidden test"]
    n_folds = max(len(_folds(run, row)) for row in run.scores["rows"])
    rows = []
    for row in run.scores["rows"]:
        figures = [row[key] for key in ("cv", "sd", "cv_last", "valid", "hidden")]
        folds = _folds(run, row)
        rows.append([row["name"], *figures, *folds, *[None] * (n_folds - len(folds))])
    return Numbers("scores", [*columns, *(f"fold {i}" for i in range(n_folds))], rows)


def _figure(run: Run) -> Figure:
    rows = scores.shown_rows(run.scores)
    canvas, axes = drawing.canvas(height=44 + 24 * len(rows))
    for y, row in enumerate(rows):
        model = run.models.index(row["name"]) if row["name"] in run.models else None
        colour = drawing.INK if model is None else drawing.colour(model)
        if row["cv"] is not None:
            folds = _folds(run, row)
            axes.plot(folds, np.full(len(folds), y), "|", color=colour, ms=8, mew=1, alpha=0.6)
            axes.plot([row["cv"] - row["sd"], row["cv"] + row["sd"]], [y, y], color=colour, lw=1.2)
            size = 8 if _is_submitted(run, row) else 6
            axes.plot([row["cv"]], [y], "o", color=colour, ms=size)
        for value, marker in ((row["valid"], "s"), (row["hidden"], "D")):
            if value is not None:
                axes.plot([value], [y], marker, color=colour, ms=5.5, mfc=drawing.PAPER, mew=1.3)
    known = {"Bayes": run.scores["bayes"], "with slates": run.scores["bayes_slates"]}
    for name, bayes in known.items():
        if bayes is not None:
            axes.axvline(bayes, color=drawing.FAINT, lw=1, ls=(0, (4, 3)))
            axes.annotate(
                name, (bayes, -0.75), (-5, 0), textcoords="offset points",
                ha="right", va="center", color=drawing.FAINT,
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), [readable(row["name"]) for row in rows], color=drawing.INK)
    axes.set_ylim(len(rows) - 0.4, -1.1)
    axes.set_xlabel("AUC")
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    parts = ["● CV mean, ± sd", "| folds"] * scores.has_cv(run.scores) + ["□ official valid"]
    parts += ["◇ hidden test"] * (rows[0]["hidden"] is not None)
    alt = "AUC of every network and blend; the table beside it holds the figures"
    strips = Strips([axes], range(len(rows)), [_text(run, row) for row in rows], "y")
    return Figure(drawing.svg(canvas, alt, strips), "   ".join(parts))
