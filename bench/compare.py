"""Whether a change moved the scores: two runs on official valid, paired by row.

reads   STORE: the run's store of artifacts/<profile>/10_prepare/; BEFORE and AFTER: two folders of
        artifacts/<profile>/60_blend/ on that data
run     python -m bench.compare STORE BEFORE AFTER

For every network and blend of both: AUC after, AUC before, and the difference with its 95 %
interval by paired bootstrap over users, drawn with replacement. The interval leaves out the
variation between seeds, since the fits are fixed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

from bench.output import table_header, table_row
from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from features.errors import InputError
from features.store.store import open_store
from pipeline.runtime.cli import exit_code

KEYS = ("row_id", "user_id", "label", "probability")


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
    both = [name for name in after.columns if name in before.columns and name not in KEYS]
    if not both:
        raise InputError(f"{arguments.before} and {arguments.after} have no network in common")
    label = after["label"].to_numpy()
    print(table_header(("valid AUC", "after", "before", "difference", "95 %")))
    for name in both:
        scores = after[name].to_numpy(), before[name].to_numpy()
        aucs = (f"{auc(label, score):.5f}" for score in scores)
        difference = paired_bootstrap(label, *scores, user)
        interval = f"{difference.low:+.5f} to {difference.high:+.5f}"
        print(table_row((name, *aucs, f"{difference.estimate:+.5f}", interval)), flush=True)


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
