"""Fits on official valid, row by row and within slates: whether a loss or a
network gains there.

reads   STORE: the run's store of artifacts/<profile>/10_prepare/; FITS:
        folders of artifacts/<profile>/50_train/ on that data
run     python -m bench.slates STORE FIT [FIT ...]

A slate is the rows of one user with one history. Within slates, the score of a
row is the log odds of a softmax over its slate's logits y:

    score_i = y_i - log(sum over the other rows j of exp y_j)

Fits that differ in nothing but their seed share a row. The last column is the
difference within slates to the network's first row, with its 95 % interval
over users and seeds (cv/trainings.py).
"""

import argparse
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from bench.tools.output import mean_and_sd, table_header, table_row
from cv.auc import auc
from cv.slates.choice import ChoiceModel
from cv.trainings import training_bootstrap
from features.errors import InputError
from features.slates import slate_numbers
from features.store.store import open_store
from models.settings import NetworkSettings
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.config.schema import checked
from pipeline.config.tables import flat
from pipeline.runtime import usage
from pipeline.runtime.cli import exit_code

WEIGHT = 1e300
SOFTMAX = ChoiceModel(temperature=1, weight=WEIGHT, bias=math.log(WEIGHT))  # but for rounding


class FitScores(NamedTuple):
    """A fit: its network's name, the settings that it reads, its seed, logits (N,) of valid."""

    network: str
    settings: dict[str, Any]
    seed: int
    logit: np.ndarray


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("fits", type=Path, nargs="+")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: compare(arguments))


def compare(arguments: argparse.Namespace) -> None:
    """Print the table."""
    valid = open_store(arguments.store).valid
    label, user, slate = np.array(valid.label), np.array(valid.user), slate_numbers(valid)
    fits = [read(path, len(label)) for path in arguments.fits]
    names = ("fit", "seeds", "rows alone", "within slates", "gain", "against the first, 95 %")
    print(table_header(names))
    for network in dict.fromkeys(fit.network for fit in fits):
        groups = grouped([fit for fit in fits if fit.network == network])
        within = {
            name: {seed: SOFTMAX.log_odds(logit, slate) for seed, logit in by_seed.items()}
            for name, by_seed in groups.items()
        }
        first = next(iter(within.values()))
        for name, by_seed in groups.items():
            aucs = [
                (auc(label, logit), auc(label, within[name][seed]))
                for seed, logit in by_seed.items()
            ]
            alone, of_slates = (list(column) for column in zip(*aucs, strict=True))
            gains = [b - a for a, b in aucs]
            cells = [mean_and_sd(alone, 5), mean_and_sd(of_slates, 5), mean_and_sd(gains, 5, "+")]
            seeds = ", ".join(map(str, by_seed))
            against = "-" if within[name] is first else difference(label, within[name], first, user)
            print(table_row((f"{network} {name}".strip(), seeds, *cells, against)), flush=True)


def grouped(fits: list[FitScores]) -> dict[str, dict[int, np.ndarray]]:
    """The logits of fits of one network by their settings, as far as these differ, and by seed."""
    keys = sorted({key for fit in fits for key in fit.settings})
    keys = [key for key in keys if len({str(fit.settings.get(key)) for fit in fits}) > 1]
    groups: dict[str, dict[int, np.ndarray]] = {}
    for fit in fits:
        name = " ".join(f"{key}={fit.settings[key]}" for key in keys if key in fit.settings)
        groups.setdefault(name, {})[fit.seed] = fit.logit
    return groups


def difference(
    label: np.ndarray, ours: dict[int, np.ndarray], first: dict[int, np.ndarray], user: np.ndarray
) -> str:
    """AUC(ours) - AUC(first) over the seeds of both, with its interval and what that covers."""
    shared = [seed for seed in ours if seed in first]
    if not shared:
        return "no seed of both"
    scores = [np.stack([of[seed] for seed in shared], axis=1) for of in (ours, first)]
    found = training_bootstrap(label, *scores, user)
    return f"{found.estimate:+.5f}, {found.low:+.5f} to {found.high:+.5f} ({found.covers})"


def read(fit: Path, n_rows: int) -> FitScores:
    """A folder of 50_train. Raises InputError unless it scores `n_rows` rows of valid."""
    record, path = fit / RECORD, fit / "valid.parquet"
    if not (record.is_file() and path.is_file()):
        raise InputError(f"{fit} is no folder of 50_train: expected {RECORD} and valid.parquet")
    settings = read_json(record)["settings"]
    network = checked(NetworkSettings, settings["network"], f"{record}: ")
    logit = pl.read_parquet(path, glob=False).sort("row_id")["logit"].to_numpy()
    if len(logit) != n_rows:
        raise InputError(f"{path} holds {len(logit)} rows; expected the {n_rows} of STORE's valid")
    of_parts = {key: value for key, value in flat(asdict(network)).items() if network.reads(key)}
    return FitScores(fit.name.split("-seed")[0], of_parts, settings["seed"], logit)


if __name__ == "__main__":
    sys.exit(main())
