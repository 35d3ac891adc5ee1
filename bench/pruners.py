"""What pruners of 40_tune save and lose, on a study in which every trial was
completed.

Each pruner sees the trials of the study in many random orders. Saved: the
share of fits that it prunes. Kept: the share of orders in which it completes
the best trial. Lost: the mean difference in AUC between the best trial and the
best one that it completes. Unlike in 40_tune, the pruner does not change which
settings come next.

reads   artifacts/<profile>/40_tune/, made with tune.pruner=none
run     python -m bench.pruners PROFILE [key=value ...] [--orders 200]
"""

import argparse
import json
import sys

import numpy as np
import optuna
from optuna.trial import TrialState

from bench.tools.output import table_header, table_row
from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.settings import PRUNERS
from pipeline.runtime import cli
from pipeline.tuning.optuna_output import silence_optuna
from pipeline.tuning.pruning import make_pruner, reported_value


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--orders", type=int, default=200, help="random orders of the trials")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Print one table per tuned network."""
    silence_optuna()
    s = cli.load(arguments)
    for model, study in graph.tunings(s).items():
        aucs = fold_aucs(json.loads((require(study) / "tune.json").read_text(encoding="utf-8")))
        print(
            f"\n{model}, {len(aucs)} trials of {aucs.shape[1]} folds, {arguments.orders} orders\n"
        )
        print(table_header(("pruner", "saved", "kept", "lost")))
        for name in PRUNERS:
            saved, kept, lost = replay(aucs, name, arguments.orders)
            print(table_row((name, f"{saved:.1%}", f"{kept:.1%}", f"{lost:.5f}")), flush=True)


def fold_aucs(summary: dict) -> np.ndarray:
    """AUCs (trials, folds) of a study's tune.json. Raises InputError if a trial was pruned."""
    finished = [row for row in summary["trials"] if row["state"] in ("COMPLETE", "PRUNED")]
    if any(row["state"] == "PRUNED" for row in finished):
        raise InputError(
            f"study {summary['study']} has pruned trials: run one with tune.pruner=none"
        )
    return np.array([row["fold_aucs"] for row in finished])


def replay(aucs: np.ndarray, name: str, n_orders: int) -> tuple[float, float, float]:
    """Shares saved and kept, and the AUC lost, over `n_orders` orders of `aucs` (trials, folds)."""
    random, mean = np.random.default_rng(0), aucs.mean(1)
    saved, kept, lost = [], [], []
    for number in range(n_orders):
        order = random.permutation(len(aucs))
        n_fits = n_folds_run(aucs[order], name, f"order {number}")
        completed = order[n_fits == aucs.shape[1]]
        saved.append(1 - n_fits.sum() / aucs.size)
        kept.append(mean.argmax() in completed)
        lost.append(mean.max() - mean[completed].max())
    return float(np.mean(saved)), float(np.mean(kept)), float(np.mean(lost))


def n_folds_run(aucs: np.ndarray, name: str, study_name: str) -> np.ndarray:
    """How many folds of each trial (trials,) the pruner lets run, one trial after another.

    Hyperband derives its brackets from the study's name.
    """
    n_folds = aucs.shape[1]
    pruner = make_pruner(name, n_folds)
    study = optuna.create_study(study_name=study_name, direction="maximize", pruner=pruner)
    n_run = []
    for row in aucs:
        trial = study.ask()
        for step in range(n_folds):
            trial.report(reported_value(row[: step + 1], name), step)
            if step + 1 < n_folds and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(row.mean()))
        n_run.append(step + 1)
    return np.array(n_run)


if __name__ == "__main__":
    sys.exit(main())
