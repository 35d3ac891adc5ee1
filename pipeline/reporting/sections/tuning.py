"""Optuna's studies, where there are any: history, the best trials, what mattered."""

import numpy as np

from pipeline.reporting import drawing
from pipeline.reporting.page import Html, Section, bar, figure, grid, join, markup, table
from pipeline.reporting.run import Run
from pipeline.reporting.wording import auc, quantity, seconds

TOP = 5  # trials and parameters that are listed


def section(run: Run) -> Section | None:
    if not run.tuning:
        return None
    said = "A study maximises the mean fold AUC, so its best value flatters itself: "
    said += "the folds have been used up. Judge a tuned network by official valid and hidden test."
    if run.settings.official:
        said = "A study maximises the AUC on official valid, which has so been used up: judge a"
        said += " tuned network by the test."
    return Section(
        title="Tuning",
        said=said,
        body=join(_study(study) for study in run.tuning),
    )


def completed(study: dict) -> list[dict]:
    """Trials that ran through all folds, in the order of their numbers."""
    finished = [t for t in study["trials"] if t["state"] == "COMPLETE" and t["value"] is not None]
    return sorted(finished, key=lambda trial: trial["number"])


def _study(study: dict) -> Html:
    done, trials = completed(study), study["trials"]
    states = [trial["state"].lower() for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    if study["users"] < 1:
        counts += f", on {study['users']:.3g} of the users"
    head = Html(f"<h3>{markup(study['study'])}: {len(trials)} trials ({markup(counts)})</h3>")
    if not done:
        return head
    parts = [head, grid([_history(study, done), _importances(study)]), _best(done)]
    return join(parts)


def _history(study: dict, done: list[dict]) -> Html:
    made, axes = drawing.canvas(height=220)
    number = np.array([trial["number"] for trial in done])
    value = np.array([trial["value"] for trial in done])
    pruned = [t for t in study["trials"] if t["state"] == "PRUNED" and t["value"] is not None]
    best = np.maximum.accumulate(value)
    axes.plot(
        [t["number"] for t in pruned], [t["value"] for t in pruned], "x", ms=5, color=drawing.FAINT
    )
    axes.plot(number, value, "o", ms=5, color=drawing.series(0))
    axes.step(number, best, where="post", color=drawing.INK, lw=1.2)
    low, high = np.quantile(value, 0.1), value.max()
    axes.set_ylim(low - 0.1 * (high - low) - 1e-4, high + 0.1 * (high - low) + 1e-4)
    axes.set_xlabel("trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    gain = f"mean fold AUC {best[0]:.5f} in the first trial, {best[-1]:.5f} in the best"
    drawn = drawing.svg(made, f"Optuna history of {study['study']}: {gain}")
    return figure(drawn, f"{gain}; × pruned, line: best so far", "History.")


def _importances(study: dict) -> Html:
    ranked = sorted((study.get("importances") or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    if not ranked:
        return Html("")
    rows = [
        [key, f"{share:.0%}", bar(share / (ranked[0][1] or 1))] for key, share in ranked[: 2 * TOP]
    ]
    return figure(
        table(["setting", "importance", ""], rows),
        "Share of the variance that each setting explains.",
        "What mattered.",
    )


def _best(done: list[dict]) -> Html:
    best = sorted(done, key=lambda trial: (-trial["value"], trial["number"]))[:TOP]
    keys = list(dict.fromkeys(key for trial in best for key in trial["params"]))
    rows = [
        [
            f"{trial['number']}{_origin(trial)}",
            auc(trial["value"]),
            _spread(trial.get("fold_aucs")),
            seconds(trial["seconds"]) if trial.get("seconds") is not None else "-",
            *(quantity(trial["params"].get(key, "-")) for key in keys),
        ]
        for trial in best
    ]
    return table(["trial", "mean fold AUC", "sd", "time", *keys], rows, bold=0)


def _origin(trial: dict) -> str:
    """Where the settings of an enqueued trial come from, such as published."""
    return f", {trial['origin']}" if trial.get("origin") else ""


def _spread(folds: list[float] | None) -> str:
    return f"{np.std(folds, ddof=1):.5f}" if folds and len(folds) > 1 else "-"
