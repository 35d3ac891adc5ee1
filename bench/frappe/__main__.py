"""Frappe_x1: FINAL's published numbers, and FINAL's block in the place of four networks' MLPs.

reads   DATA/{train,valid,test}.csv or .csv.gz: label, then categorical fields as whole numbers
writes  OUT/<network>-seed<s>-<hash>/artifact.json a fit: its scores and learning curve
run     python -m bench.frappe --data ../shared/data/frappe_x1 [--seeds 2021,2022,2023]
        [--rows final_1b,dcn,...] [--out artifacts/bench/frappe] [--workers 2] [--max-epochs 5]

Each row's settings are bench/frappe/<row>.toml. A fit stops on the AUC of valid; test is scored
once, with the weights of valid's best epoch. Running again resumes: the hash is of the row's
settings, the seed, the data files' bytes and the code that a fit runs through.
"""

import argparse
import os
import sys
from pathlib import Path

import joblib

from bench.frappe.data import find, read, unpublished_splits
from bench.frappe.fits import fit_spec, row_settings, run
from bench.frappe.tables import ROWS, gains, table
from features.errors import InputError
from pipeline.artifacts.spec import record
from pipeline.config.schema import near
from pipeline.runtime import cli


def work(a: argparse.Namespace) -> None:
    """Train the missing fits, then print both tables."""
    rows, seeds = _row_names(a.rows), _seeds(a.seeds)
    for option, value in (("--workers", a.workers), ("--max-epochs", a.max_epochs)):
        if value is not None and value < 1:
            raise InputError(f"{option} = {value} must be at least 1")
    settings = {row: row_settings(row, a.max_epochs) for row in rows}
    files = find(a.data)
    read(files)  # reports bad input before the first fit begins
    specs = {
        (row, seed): fit_spec(settings[row], seed, files, a.out) for row in rows for seed in seeds
    }
    first = {spec.path: key for key, spec in reversed(specs.items())}  # rows may share a fit
    todo = [key for key, spec in specs.items() if not spec.done and first[spec.path] == key]
    print(f"bench.frappe {len(specs)} scores, {len(todo)} fits to do, {a.workers} at a time")
    tasks = (
        joblib.delayed(run)(settings[row], seed, files, specs[row, seed], f"{row} seed {seed}")
        for row, seed in todo
    )
    joblib.Parallel(n_jobs=a.workers)(tasks)
    reports = {row: [record(specs[row, seed].path)["report"] for seed in seeds] for row in rows}
    notes = [
        f"{split} is not the published file, by its md5" for split in unpublished_splits(files)
    ]
    if a.max_epochs is not None:
        notes.append(f"fits ended after {a.max_epochs} epochs at the latest")
    print("", *notes, table(reports, seeds), "", gains(reports), sep="\n", flush=True)


def _row_names(words: str) -> list[str]:
    rows = list(dict.fromkeys(words.split(",")))
    problems = [f"{row!r}{near(row, list(ROWS))}" for row in rows if row not in ROWS]
    if problems:
        raise InputError(f"--rows: unknown {', '.join(problems)}; known: {', '.join(ROWS)}")
    return rows


def _seeds(words: str) -> list[int]:
    given = [int(word) if word.strip().isdecimal() else -1 for word in words.split(",")]
    if not all(0 <= seed < 2**63 for seed in given):
        raise InputError(f"--seeds: got {words!r}, expected numbers such as 2021,2022")
    return list(dict.fromkeys(given))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the three files")
    parser.add_argument("--seeds", default="2021,2022,2023")
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated; all by default")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/frappe"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="fits at a time")
    parser.add_argument("--max-epochs", type=int, help="end fits early: a trial, named as such")
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: work(arguments))


if __name__ == "__main__":
    sys.exit(main())
