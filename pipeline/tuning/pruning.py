"""The pruners of tune.pruner, which may stop a trial after a fold."""

import statistics
from collections.abc import Sequence

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner

from pipeline.tuning.optuna_output import experimental_features


def make_pruner(name: str, n_folds: int) -> BasePruner:
    with experimental_features():
        return {
            "median": MedianPruner,  # from the sixth trial on
            "hyperband": lambda: HyperbandPruner(max_resource=n_folds),
            "wilcoxon": WilcoxonPruner,  # against the best trial, fold by fold
            "none": NopPruner,
        }[name]()


def reported_value(aucs: Sequence[float], pruner: str) -> float:
    """What a trial reports after a fold: its mean AUC so far; to "wilcoxon", the fold's own AUC."""
    return float(aucs[-1]) if pruner == "wilcoxon" else statistics.fmean(aucs)
