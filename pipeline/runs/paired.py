"""Two blends on official valid, paired by row: AUCs and their differences with 95 % intervals.

    difference = AUC of `after` - AUC of `before`, of one network or blend that both have

The interval is a paired bootstrap over users. A network or a blend is one training, whose noise is
left out; `covers` says so. Where both blends have several train.seeds, a further row, "one seed",
compares the mean AUCs of single seeds, and its interval covers users and seeds (cv/trainings.py):
that one says whether a change of settings did something.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from features.errors import InputError

KEYS = ("row_id", "user_id", "label", "probability")
SEED = re.compile(r"(.+)-seed\d+")  # the columns of pipeline/blending/predictions.py
FIT = re.compile(r".+-seed\d+-fold\d+")
SUBMITTED = "submitted"  # the row of the probability that each of the two submits
Columns = tuple[list[str], list[str]]  # of after, of before


class PairedDifference(NamedTuple):
    """One row: AUCs on official valid, and after less before."""

    name: str
    after: float
    before: float
    difference: float
    low: float
    high: float
    covers: str  # which noise the interval covers, in words


def differences(before: Path, after: Path) -> Iterator[PairedDifference]:
    """The rows of two folders of 60_blend. Raises InputError unless both score the same rows."""
    from cv.auc import auc
    from cv.trainings import training_bootstrap  # torch: --help does without it

    theirs, ours = _read(before), _read(after)
    same = ("row_id", "user_id", "label")
    if not theirs.select(same).equals(ours.select(same)):
        raise InputError(f"{before} and {after} score different rows of official valid")
    label, user = (ours[name].to_numpy() for name in ("label", "user_id"))
    for name, (mine, other) in rows_of(ours.columns, theirs.columns).items():
        scores = ours[mine].to_numpy(), theirs[other].to_numpy()
        first, second = (float(np.mean([auc(label, one) for one in score.T])) for score in scores)
        found = training_bootstrap(label, *scores, user, paired=mine == other)
        yield PairedDifference(name, first, second, *found)


def rows_of(after: list[str], before: list[str]) -> dict[str, Columns]:
    """The columns of both by row: what is submitted, networks and blends, seeds of a network."""
    rows: dict[str, Columns] = {SUBMITTED: (["probability"], ["probability"])}
    for name in after:
        if name in before and name not in (*KEYS, "slate") and not _is_part(name):
            rows[name] = [name], [name]
            ours, theirs = (_seeds(columns, name) for columns in (after, before))
            if ours and theirs:
                rows[f"{name}, one seed"] = ours, theirs
    return rows


def _is_part(column: str) -> bool:
    """Whether it holds one seed or one fit of a network."""
    return bool(SEED.fullmatch(column) or FIT.fullmatch(column))


def _seeds(columns: list[str], network: str) -> list[str]:
    named = {column: SEED.fullmatch(column) for column in columns}
    return sorted(column for column, seed in named.items() if seed and seed[1] == network)


def _read(blend: Path) -> pl.DataFrame:
    """valid.parquet of a folder of 60_blend. Raises InputError where there is none."""
    path = blend / "valid.parquet"
    if not path.is_file() or not {*KEYS} <= {*pl.read_parquet_schema(path.read_bytes())}:
        raise InputError(
            f"{blend} is no folder of 60_blend: expected a valid.parquet with the columns"
            f" {', '.join(KEYS)}"
        )
    return pl.read_parquet(path, glob=False).sort("row_id")
