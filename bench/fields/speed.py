"""Rows a second that networks over fields train at their published settings, and
the hours an epoch that follow.

reads   DATA/{train,valid,test}.csv, .csv.gz or .parquet; or STORE, the folder
        that bench.fields made of them and named
writes  OUT/<data set>/store-<hash>/, unless it is there or --store is given
run     python -m bench.fields.speed criteo_x1 --data FOLDER
        python -m bench.fields.speed --schema FILE.toml --store FOLDER
        [--models dcn,deepfm,final_2b] [--steps 60] [--rounds 5]
        [--threads 2] [--out artifacts/bench/fields]

Each network trains in a process of its own: one round to warm up, then
--rounds of --steps steps on rows of the whole train split; the median round
counts, with the slowest and the fastest. Hours are those of the published rows
of train, or of the rows at hand where none are published. Scoring of valid is
not in them. Peak memory counts the pages of the store that were read.
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.fields.data.schema import find
from bench.fields.data.store import open_fields, require_columns
from bench.fields.data.writing import stored
from bench.fields.settings import DATA_SETS, DataSet, chosen, network_settings, networks
from bench.tools import output, steps
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from features.outputs import refuse_input
from models.fields.network import FieldNetwork
from models.fields.settings import FieldSettings
from models.training.fit import fit
from pipeline.artifacts import provenance
from pipeline.runtime import cli, usage
from pipeline.runtime.compute import prepare_training

MODELS = "dcn,deepfm,final_2b"
MAX_HELD_ROWS = 8192  # scored after each round, outside the time
HEADER = (
    "network", "parameters", "rows/s, median", "slowest", "fastest", "hours an epoch",
    "seconds an epoch, P100", "peak MiB",
)  # fmt: skip


def measure_all(a: argparse.Namespace) -> None:
    """Measure each network and print the table."""
    of, names = chosen(a.data_set, a.schema), networks(a.models)
    for option in ("steps", "rounds", "threads"):
        if getattr(a, option) < 1:
            raise InputError(f"--{option} = {getattr(a, option)} must be at least 1")
    if (a.data is None) == (a.store is None):
        raise InputError("expected one of --data, a folder with three files, and --store")
    settings = {name: network_settings(name, of) for name in names}
    print(output.machine_line(output.describe_machine()))
    store = a.store
    if store is None:
        refuse_input(a.out, [a.data])
        store = stored(find(a.data), of.data, a.out / of.name)
    require_columns(store, of.data)
    rows = of.data.rows.train or len(open_fields(store).rows["train"])
    print(f"{store}: {a.rounds} rounds of {a.steps} steps, {a.threads} threads;"
          f" an epoch has {rows:,} rows")  # fmt: skip
    print("", output.table_header(HEADER), sep="\n", flush=True)
    for name, cfg in settings.items():
        measured = call_in_subprocess(name, measure, cfg, store, a.steps, a.rounds, a.threads)
        print(output.table_row(cells(name, measured, rows, of)), flush=True)


def measure(cfg: FieldSettings, store: Path, n_steps: int, rounds: int, threads: int) -> dict:
    """Rows a second of each round, the number of parameters and the peak memory."""
    prepare_training(threads)
    data = open_fields(store)
    rows, label = data.rows["train"], data.label["train"]
    held = torch.arange(min(len(data.rows["valid"]), MAX_HELD_ROWS))
    held_rows, held_label = data.rows["valid"].batch(held), data.label["valid"][held]
    torch.manual_seed(0)
    network = FieldNetwork(cfg, data.sizes, data.n_numeric)
    timer = steps.FitTimer(label.device, n_steps, "wall")
    fit_cfg = dataclasses.replace(cfg.fit, max_epochs=rounds + 1, patience=rounds + 1)
    fit(
        network, rows, label, held_rows, held_label, fit_cfg,
        seed=0, score=timer.score, progress=timer.batches,
    )  # fmt: skip
    return {
        "rates": timer.rates,
        "parameters": sum(p.numel() for p in network.parameters()),
        "peak_mib": provenance.peak_mib(),
    }


def cells(name: str, measured: dict, rows: int, of: DataSet) -> Sequence[str]:
    """One row of the table; `rows` of an epoch."""
    rates = measured["rates"]
    median = statistics.median(rates)
    seconds = of.published[name].seconds if name in of.published else 0
    return (
        name,
        f"{measured['parameters']:,}",
        *(f"{rate:,.0f}" for rate in (median, min(rates), max(rates))),
        f"{rows / median / 3600:.2f}",
        f"{seconds:,}" if seconds else "–",
        f"{measured['peak_mib']:,}",
    )


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("data_set", nargs="?", metavar="DATA_SET", help=", ".join(DATA_SETS))
    parser.add_argument("--schema", type=Path, help="TOML of a data set of your own")
    parser.add_argument("--data", type=Path, help="folder with the three files")
    parser.add_argument("--store", type=Path, help="folder that bench.fields made of such files")
    parser.add_argument("--models", default=MODELS, help="comma-separated")
    parser.add_argument("--steps", type=int, default=60, help="steps of a round (60)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of a network (2)")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/fields"))
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: measure_all(arguments))


if __name__ == "__main__":
    sys.exit(main())
