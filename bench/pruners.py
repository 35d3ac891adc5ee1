"""What pruners of 40_tune save and lose, on a study in which every trial came to its end.

Its trials are told to every pruner in many orders. Saved: the share of fits of a fold that a trial
was spared. Kept: the share of orders in which the best trial came to its end. Lost: how far the
best that did stands below it, in AUC, on average. Settings do not depend on the pruner here, as
they do for a sampler that learns from trials.

reads   artifacts/<profile>/40_tune/, made with tune.pruner=none
run     python -m bench.pruners PROFILE [key=value ...] [--orders 200]
"""

import argparse
import json
import sys

import numpy as np
import optuna
from optuna.trial import TrialState

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.settings import PRUNERS
from pipeline.runtime import cli
from pipeline.tuning.optuna_output import silence_optuna
from pipeline.tuning.pruning import make_pruner, reported_value

MEANING = "| pruner | saved | kept | lost |\n| --- | --- | --- | --- |"


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--orders", type=int, default=200)
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    silence_optuna()
    s = cli.load(arguments)
    for model, place in graph.tunings(s).items():
        aucs = complete(json.loads((require(place) / "tune.json").read_text()))
        print(
            f"\n{model}, {len(aucs)} trials of {aucs.shape[1]} folds, {arguments.orders} orders\n"
        )
        print(MEANING)
        for name in PRUNERS:
            saved, kept, lost = replay(aucs, name, arguments.orders)
            print(f"| {name} | {saved:.1%} | {kept:.1%} | {lost:.5f} |", flush=True)


def complete(told: dict) -> np.ndarray:
    """(trials, folds) AUCs. Raises InputError where a trial was pruned."""
    finished = [row for row in told["trials"] if row["state"] in ("COMPLETE", "PRUNED")]
    if any(row["state"] == "PRUNED" for row in finished):
        raise InputError(
            f"study {told['study']} has pruned trials: begin one with tune.pruner=none"
        )
    return np.array([row["fold_aucs"] for row in finished])


def replay(aucs: np.ndarray, name: str, n_orders: int) -> tuple[float, float, float]:
    """Shares saved and kept, and the AUC lost, over `n_orders` orders of `aucs` (trials, folds)."""
    random, mean = np.random.default_rng(0), aucs.mean(1)
    saved, kept, lost = [], [], []
    for number in range(n_orders):
        order = random.permutation(len(aucs))
        n_fits = told_in_order(aucs[order], name, f"order {number}")
        ended = order[n_fits == aucs.shape[1]]
        saved.append(1 - n_fits.sum() / aucs.size)
        kept.append(mean.argmax() in ended)
        lost.append(mean.max() - mean[ended].max())
    return float(np.mean(saved)), float(np.mean(kept)), float(np.mean(lost))


def told_in_order(aucs: np.ndarray, name: str, study_name: str) -> np.ndarray:
    """How many folds of each trial (trials,) the pruner lets pass, one trial after another.

    Hyperband makes its brackets of the study's name.
    """
    n_folds = aucs.shape[1]
    pruner = make_pruner(name, n_folds)
    study = optuna.create_study(study_name=study_name, direction="maximize", pruner=pruner)
    passed = []
    for row in aucs:
        trial = study.ask()
        for step in range(n_folds):
            trial.report(reported_value(row[: step + 1], name), step)
            if step + 1 < n_folds and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(row.mean()))
        passed.append(step + 1)
    return np.array(passed)


if __name__ == "__main__":
    sys.exit(main())
