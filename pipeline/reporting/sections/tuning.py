"""Optuna's studies, where there are any: history, the best trials, importance of the settings."""

import numpy as np

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Bar, Block, Figure, Grid, Numbers, Section, Table, Titled
from pipeline.reporting.formatting import auc, compact, duration, slug
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import Run

N_BEST = 4  # trials that are listed
N_IMPORTANCES = 10


def section(run: Run) -> Section | None:
    if not run.studies:
        return None
    finding = (
        "A study maximises mean fold AUC, so its best value is optimistic: the folds chose it."
        " Compare a tuned network by official valid and hidden test."
    )
    if run.settings.official:
        finding = (
            "A study maximises AUC on official valid, which is optimistic from then on: compare a"
            " tuned network by the test."
        )
    return Section(
        anchor="tuning",
        title="Tuning",
        look_for="a line that has become flat (more trials gain little) and best trials that agree"
        " on their settings.",
        finding=finding,
        blocks=[_study(study) for study in run.studies],
        numbers=[_numbers(study) for study in run.studies],
    )


def completed(study: dict) -> list[dict]:
    """Trials that ran through all folds, in the order of their numbers."""
    trials = [t for t in study["trials"] if t["state"] == "COMPLETE" and t["value"] is not None]
    return sorted(trials, key=lambda trial: trial["number"])


def _study(study: dict) -> Titled:
    trials, n = completed(study), len(study["trials"])
    states = [trial["state"].lower() for trial in study["trials"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    if study["users"] < 1:
        counts += f", on {study['users']:.3g} of the users"
    blocks: list[Block] = []
    if trials:
        blocks = [Grid([_history(study, trials), *_importances(study)]), _best(trials)]
    return Titled(f"{study['study']}: {n} trials ({counts})", blocks)


def _scored(study: dict) -> list[dict]:
    """Trials with a value: complete ones, and pruned ones with that of the folds they finished."""
    trials = [trial for trial in study["trials"] if trial["value"] is not None]
    return sorted(trials, key=lambda trial: trial["number"])


def lowest_shown(values: np.ndarray) -> float:
    """Where the scale of the history begins: a tenth of the complete trials may lie below it."""
    low, high = np.quantile(values, 0.1), values.max()
    return float(low - 0.1 * (high - low) - 1e-4)


def _history(study: dict, trials: list[dict]) -> Figure:
    canvas, axes = drawing.canvas(height=220)
    number = np.array([trial["number"] for trial in trials])
    value = np.array([trial["value"] for trial in trials])
    best, bottom = np.maximum.accumulate(value), lowest_shown(value)
    scored = _scored(study)
    top = max(trial["value"] for trial in scored)
    axes.set_ylim(bottom, top + 0.1 * (top - bottom))
    below = 0
    for trial in scored:
        pruned = trial["state"] != "COMPLETE"
        colour = drawing.FAINT if pruned else drawing.colour(0)
        if trial["value"] < bottom:  # on the edge
            below += 1
            axes.plot(trial["number"], bottom, "v", ms=6, color=colour, clip_on=False)
        else:
            axes.plot(trial["number"], trial["value"], "x" if pruned else "o", ms=5, color=colour)
    axes.step(number, best, where="post", color=drawing.INK, lw=1.2)
    axes.set_xlabel("trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    gain = f"mean fold AUC {best[0]:.5f} in the first trial, {best[-1]:.5f} in the best"
    caption = f"{gain}; × pruned, line: best so far"
    if below:
        caption += f"; ▼ {below} of {len(scored)} trials lie below the scale"
    texts = [
        f"trial {t['number']}: {auc(t['value'])}, {t['state'].lower()}{_origin(t)}" for t in scored
    ]
    strips = Strips([axes], [trial["number"] for trial in scored], texts)
    svg = drawing.svg(canvas, f"Optuna history of {study['study']}: {gain}", strips)
    return Figure(svg, caption, "History")


def _numbers(study: dict) -> Numbers:
    """Every trial, with what it searched."""
    keys = list(dict.fromkeys(key for trial in study["trials"] for key in trial["params"]))
    rows = [
        [
            *(trial.get(name) for name in ("number", "state", "value", "seconds")),
            *(trial["params"].get(key) for key in keys),
        ]
        for trial in study["trials"]
    ]
    columns = ["trial", "state", "mean fold AUC", "seconds", *keys]
    return Numbers(slug("tuning", study["study"]), columns, rows)


def _importances(study: dict) -> list[Figure]:
    ranked = sorted((study.get("importances") or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    if not ranked:
        return []
    highest = ranked[0][1] or 1
    rows = [[key, f"{share:.0%}", Bar(share / highest)] for key, share in ranked[:N_IMPORTANCES]]
    table = Table(["setting", "importance", ""], rows)
    return [Figure(table, "Share of the variance that each setting explains.", "Importance")]


def _best(trials: list[dict]) -> Table:
    """A column for each of the best trials: they are few, and the settings may be many."""
    best = sorted(trials, key=lambda trial: (-trial["value"], trial["number"]))[:N_BEST]
    keys = list(dict.fromkeys(key for trial in best for key in trial["params"]))
    rows = [
        ["mean fold AUC", *(auc(trial["value"]) for trial in best)],
        ["sd", *(_sd(trial.get("fold_aucs")) for trial in best)],
        ["time", *(_time(trial.get("seconds")) for trial in best)],
    ]
    rows += [[key, *(compact(trial["params"].get(key, "-")) for trial in best)] for key in keys]
    columns = ["trial", *(f"{trial['number']}{_origin(trial)}" for trial in best)]
    return Table(columns, rows, bold=0, sortable=False)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _origin(trial: dict) -> str:
    """Where the settings of an enqueued trial come from, such as published."""
    return f", {trial['origin']}" if trial.get("origin") else ""


def _sd(folds: list[float] | None) -> str:
    return f"{np.std(folds, ddof=1):.5f}" if folds and len(folds) > 1 else "-"
