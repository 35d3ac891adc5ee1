"""Optuna's studies, where there are any: history, the best trials, importance of the settings."""

import numpy as np

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Bar, Block, Figure, Grid, Section, Table, Titled
from pipeline.reporting.formatting import auc, compact, duration
from pipeline.reporting.run import Run

N_BEST = 5  # trials that are listed
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
        title="Tuning",
        look_for="a line that has become flat (more trials gain little) and best trials that agree"
        " on their settings.",
        finding=finding,
        blocks=[_study(study) for study in run.studies],
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


def _history(study: dict, trials: list[dict]) -> Figure:
    canvas, axes = drawing.canvas(height=220)
    number = np.array([trial["number"] for trial in trials])
    value = np.array([trial["value"] for trial in trials])
    pruned = [t for t in study["trials"] if t["state"] == "PRUNED" and t["value"] is not None]
    best = np.maximum.accumulate(value)
    axes.plot(
        [t["number"] for t in pruned], [t["value"] for t in pruned], "x", ms=5, color=drawing.FAINT
    )
    axes.plot(number, value, "o", ms=5, color=drawing.colour(0))
    axes.step(number, best, where="post", color=drawing.INK, lw=1.2)
    low, high = np.quantile(value, 0.1), value.max()
    axes.set_ylim(low - 0.1 * (high - low) - 1e-4, high + 0.1 * (high - low) + 1e-4)
    axes.set_xlabel("trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    gain = f"mean fold AUC {best[0]:.5f} in the first trial, {best[-1]:.5f} in the best"
    svg = drawing.svg(canvas, f"Optuna history of {study['study']}: {gain}")
    return Figure(svg, f"{gain}; × pruned, line: best so far", "History")


def _importances(study: dict) -> list[Figure]:
    ranked = sorted((study.get("importances") or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    if not ranked:
        return []
    highest = ranked[0][1] or 1
    rows = [[key, f"{share:.0%}", Bar(share / highest)] for key, share in ranked[:N_IMPORTANCES]]
    table = Table(["setting", "importance", ""], rows)
    return [Figure(table, "Share of the variance that each setting explains.", "Importance")]


def _best(trials: list[dict]) -> Table:
    best = sorted(trials, key=lambda trial: (-trial["value"], trial["number"]))[:N_BEST]
    keys = list(dict.fromkeys(key for trial in best for key in trial["params"]))
    rows = [
        [
            f"{trial['number']}{_origin(trial)}",
            auc(trial["value"]),
            _sd(trial.get("fold_aucs")),
            duration(trial["seconds"]) if trial.get("seconds") is not None else "-",
            *(compact(trial["params"].get(key, "-")) for key in keys),
        ]
        for trial in best
    ]
    return Table(["trial", "mean fold AUC", "sd", "time", *keys], rows, bold=0)


def _origin(trial: dict) -> str:
    """Where the settings of an enqueued trial come from, such as published."""
    return f", {trial['origin']}" if trial.get("origin") else ""


def _sd(folds: list[float] | None) -> str:
    return f"{np.std(folds, ddof=1):.5f}" if folds and len(folds) > 1 else "-"
