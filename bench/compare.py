"""Whether a change moved the scores: two runs on official valid, paired by row.

reads   STORE: the run's store of artifacts/<profile>/10_prepare/; BEFORE and AFTER: two folders of
        artifacts/<profile>/60_blend/ on that data
run     python -m bench.compare STORE BEFORE AFTER

For every network and blend of both: AUC after, AUC before, and the difference with its 95 %
interval by paired bootstrap over users. The last column says which noise the interval covers: a row
of a network or a blend is one training, whose noise is left out. Where both runs have several
train.seeds, a further row, "one seed", compares the mean AUCs of single seeds, and its interval
covers users and seeds (cv/trainings.py): that one says whether a change of settings did something.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl

from bench.output import table_header, table_row
from cv.auc import auc
from cv.trainings import training_bootstrap
from features.errors import InputError
from features.store.store import open_store
from pipeline.runtime.cli import exit_code

KEYS = ("row_id", "user_id", "label", "probability")
SEED = re.compile(r"(.+)-seed\d+")  # pipeline/blending/predictions.py


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("store", "before", "after"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args(argv)
    return exit_code(lambda: compare(arguments))


def compare(arguments: argparse.Namespace) -> None:
    """Print the table."""
    user = np.array(open_store(arguments.store).valid.user)
    tables = {name: read(getattr(arguments, name), len(user)) for name in ("before", "after")}
    before, after = tables.values()
    if not before["label"].equals(after["label"]):
        raise InputError(f"{arguments.before} and {arguments.after} score different rows")
    rows = rows_of(after.columns, before.columns)
    if not rows:
        raise InputError(f"{arguments.before} and {arguments.after} have no network in common")
    label = after["label"].to_numpy()
    print(table_header(("valid AUC", "after", "before", "difference", "95 %", "covers")))
    for name, (ours, theirs) in rows.items():
        scores = after[ours].to_numpy(), before[theirs].to_numpy()
        aucs = (f"{np.mean([auc(label, one) for one in score.T]):.5f}" for score in scores)
        found = training_bootstrap(label, *scores, user, paired=ours == theirs)
        interval = f"{found.low:+.5f} to {found.high:+.5f}"
        cells = (name, *aucs, f"{found.estimate:+.5f}", interval, found.covers)
        print(table_row(cells), flush=True)


def rows_of(after: list[str], before: list[str]) -> dict[str, tuple[list[str], list[str]]]:
    """The columns of both tables by row: a network or a blend, and the seeds of a network."""
    rows = {}
    for name in after:
        if name in before and name not in KEYS and not SEED.fullmatch(name):
            rows[name] = [name], [name]
            seeds = [sorted(c for c in columns if is_seed(c, name)) for columns in (after, before)]
            if all(seeds):
                rows[f"{name}, one seed"] = tuple(seeds)
    return rows


def is_seed(column: str, network: str) -> bool:
    named = SEED.fullmatch(column)
    return named is not None and named[1] == network


def read(blend: Path, n_rows: int) -> pl.DataFrame:
    """valid.parquet of a folder of 60_blend. Raises InputError unless its rows are the store's."""
    path = blend / "valid.parquet"
    if not path.is_file() or not {*KEYS} <= {*pl.read_parquet_schema(path.read_bytes())}:
        raise InputError(
            f"{blend} is no folder of 60_blend: expected a valid.parquet with the columns"
            f" {', '.join(KEYS)}"
        )
    table = pl.read_parquet(path, glob=False).sort("row_id")
    if len(table) != n_rows:
        raise InputError(f"{path} holds {len(table)} rows; expected the {n_rows} of STORE's valid")
    return table


if __name__ == "__main__":
    sys.exit(main())
