"""The result of a study: best.toml, which 50_train can take, and tune.json, for the report."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from features.errors import InputError
from pipeline.artifacts import provenance
from pipeline.config import paths, search_space
from pipeline.config.networks import model_path, paper_settings
from pipeline.tuning.studies import FINISHED, Search

MIN_TRIALS = 10  # complete ones: with fewer, importances are noise
ATTRIBUTES = ("fold_aucs", "epochs", "seconds", "rows_per_second", "peak_mib", "seed", "origin")


def write(search: Search, study: Study, folder: Path) -> dict[str, Any]:
    """Write best.toml and tune.json into `folder`; returns the facts of the stage's line.

    Raises InputError where no trial is complete.
    """
    finished = study.get_trials(deepcopy=False, states=FINISHED)
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    if not complete:
        raise InputError(
            f"study {study.study_name} has no best trial: none of its {len(finished)} finished"
            " trials is complete; raise tune.trials, or change the ranges of its space"
        )
    best = study.best_trial
    (folder / "best.toml").write_text(best_toml(search, best, finished), encoding="utf-8")
    summary = {
        "study": study.study_name,
        "model": search.model,
        "direction": "maximize",
        "folds": len(search.folds),
        "users": search.settings.tune.users,
        "pruner": search.settings.tune.pruner,
        "commit": provenance.commit(),
        "best": {"number": best.number, "value": best.value, "params": best.params},
        "importances": importances(study, complete),
        "trials": [_row(trial) for trial in study.get_trials(deepcopy=False)],
    }
    (folder / "tune.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    first_aucs = {t.user_attrs["origin"]: t.value for t in complete if "origin" in t.user_attrs}
    return {
        "trials": len(finished),
        "pruned": len(finished) - len(complete),
        "best": f"{best.value:.5f}",
        "trial": best.number,
        **{origin: f"{auc:.5f}" for origin, auc in first_aucs.items()},
    }


def best_toml(search: Search, best: FrozenTrial, finished: list[FrozenTrial]) -> str:
    """The changes to the network's own TOML; a comment names the trial that they come from."""
    network = search_space.apply(search.network, best.params, search.name)
    n_pruned = sum(trial.state == TrialState.PRUNED for trial in finished)
    model = model_path(search.model).relative_to(paths.MODELS)
    where = "official valid" if search.settings.official else f"{len(search.folds)} folds"
    comment = (
        f"# To change in models/{model}: trial {best.number} of study {search.name},",
        f"# mean AUC {best.value:.5f} over {where}, the best of {len(finished)}"
        f" trials ({n_pruned} pruned)" + _of_users(search.settings.tune.users) + ".",
        "# Searched: " + ", ".join(search.space) + ".",
        f"# {where[0].upper()}{where[1:]} chose these settings: judge them by rows that did not.",
    )
    changes = difference(asdict(network), asdict(paper_settings(search.model)))
    return "\n".join(comment) + "\n\n" + toml(changes)


def difference(tree: dict, base: dict) -> dict:
    """The values of `tree` that are not those of `base`, table by table."""
    changes = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            value = difference(value, base[key])
            if value:
                changes[key] = value
        elif value != base[key]:
            changes[key] = value
    return changes


def toml(tree: dict, above: str = "") -> str:
    """Nested tables of text, numbers, truth values and lists of them, as TOML.

    The standard library reads TOML and does not write it.
    """
    lines = [f"{k} = {_value(v)}\n" for k, v in tree.items() if not isinstance(v, dict)]
    tables = [
        f"\n[{above}{key}]\n{toml(value, f'{above}{key}.')}"
        for key, value in tree.items()
        if isinstance(value, dict)
    ]
    return "".join(lines + tables).lstrip("\n")


def importances(study: Study, complete: list[FrozenTrial]) -> dict[str, float] | None:
    """Share of each setting in how good a trial is (PED-ANOVA); None for too few trials."""
    if len(complete) < MIN_TRIALS:
        return None
    return optuna.importance.get_param_importances(study)


def _of_users(share: float) -> str:
    return "" if share == 1 else f", on {share:.3g} of the users"


def _row(trial: FrozenTrial) -> dict[str, Any]:
    row = {"number": trial.number, "state": trial.state.name, "value": trial.value}
    return row | {"params": trial.params} | {a: trial.user_attrs.get(a) for a in ATTRIBUTES}


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
