"""The networks of FINAL's tables on rows of fields: published figures beside
ours, FINAL's block in place of MLPs, its paper's layer beside the published.

reads   DATA/{train,valid,test}.csv, .csv.gz or .parquet
writes  OUT/<data set>/store-<hash>/: the rows, encoded, which fits map;
        OUT/<data set>/<parts>-seed<s>-<hash>/ per fit: artifact.json with its
        scores and learning curve, and the logits of test;
        OUT/<data set>.md and .html: the tables
run     python -m bench.fields frappe_x1 --data FOLDER
        python -m bench.fields --schema FILE.toml --data FOLDER
        [--seeds 2021,2022,2023] [--models final_1b,dcn,dcn_final,...]
        [--out artifacts/bench/fields] [--device cpu] [--workers 2]
        [--max-epochs 5]

Data sets are bench/fields/data_sets/*.toml; FILE.toml is one of your own: its
[data] names label, categorical and numeric columns, other sections may set
what networks read. <network>_final has a FINAL block in place of its MLP and
all else equal. The AUC of valid stops a fit early and chooses the epoch whose
weights score test, once. The same command again resumes: the hash is of the
network's settings, the seed, the bytes of the data, the code of a fit and
whether it has a GPU, where all rows then lie.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.fields.data.schema import find
from bench.fields.data.store import open_fields, unpublished_splits
from bench.fields.data.writing import stored
from bench.fields.fits import fit_spec, run, scores
from bench.fields.page import write_tables
from bench.fields.settings import DATA_SETS, NETWORKS, chosen, network_settings, networks
from features.errors import InputError
from features.outputs import refuse_input
from pipeline.config.choices import DEVICES
from pipeline.config.settings import TrainSettings
from pipeline.reporting.formatting import enumeration
from pipeline.runtime import cli, usage
from pipeline.runtime.devices import device_slots, pick_device
from pipeline.training.executors import local
from pipeline.training.executors.base import Results, Tasks


def run_all(a: argparse.Namespace) -> None:
    """Train the missing fits, then print the tables."""
    of = chosen(a.data_set, a.schema)
    names, seeds = networks(a.models), _seeds(a.seeds)
    for option, value in (("--workers", a.workers), ("--max-epochs", a.max_epochs)):
        if value is not None and value < 1:
            raise InputError(f"{option} = {value} must be at least 1")
    if not re.fullmatch(DEVICES, a.device):
        raise InputError(f"--device {a.device} must be auto, cpu, cuda or cuda:<n>")
    device = pick_device(a.device, "--device")
    settings = {name: network_settings(name, of, a.max_epochs) for name in names}
    refuse_input(a.out, [a.data])
    out = a.out / of.name
    data = stored(find(a.data), of.data, out)
    label = open_fields(data).label["test"].numpy()
    specs = {
        (name, seed): fit_spec(settings[name], seed, data, out, device.type)
        for name in names
        for seed in seeds
    }
    first = {spec.path: key for key, spec in reversed(specs.items())}  # names may share a fit
    todo = [key for key, spec in specs.items() if not spec.done and first[spec.path] == key]
    slots = device_slots(TrainSettings(device=a.device, workers=a.workers or 0), len(todo))
    where = f" on {device}, {len(slots)} at a time" if todo else ""
    print(f"bench.fields {len(specs)} scores, {len(todo)} fits to do{where}")
    tasks: Tasks = {}
    for name, seed in todo:
        shown = f"{name} seed {seed}"
        section = f"[{name}] of {of.path}"
        fit = (settings[name], seed, data, specs[name, seed], shown, section)
        tasks[shown] = (*fit, os.getpid(), a.device)
    for _ in _run(tasks, slots, of.path):
        pass  # each has written its artifact
    measured = {name: scores([specs[name, seed].path for seed in seeds]) for name in names}
    others = unpublished_splits(data, of.data)
    ran_on = {report["device"] for network in measured.values() for report in network.reports}
    notes = [f"Fits ran on {enumeration(sorted(ran_on))}."]
    notes += [
        f"{split} is not known to be the published file: {why}." for split, why in others.items()
    ]
    if a.max_epochs is not None:
        notes.append(f"Fits stopped after at most {a.max_epochs} epochs.")
    figures = of.published if of.data.md5.test and "test" not in others else {}
    if of.published and not figures:
        why = "" if of.data.md5.test else f", whose md5 {of.path.name} does not say (data.md5.test)"
        notes.append(f"Published figures are left out: they are of the published test{why}.")
    title = f"{of.name}: networks over fields, seeds {', '.join(map(str, seeds))}"
    text = write_tables(out, title, notes, measured, label, figures)
    print("", text, f"tables: {out}.md and .html", sep="\n", flush=True)


def _run(tasks: Tasks, slots: Sequence[str], file: Path) -> Results:
    if len(slots) <= 1:
        return local.run_serial(run, tasks)
    advice = f"lower fit.batch_size in the network's section of {file}"
    return local.run_loky(run, tasks, slots, advice)


def _seeds(text: str) -> list[int]:
    seeds = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if not all(0 <= seed < 2**63 for seed in seeds):
        raise InputError(f"--seeds: got {text!r}, expected numbers such as 2021,2022")
    return list(dict.fromkeys(seeds))


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("data_set", nargs="?", metavar="DATA_SET", help=", ".join(DATA_SETS))
    parser.add_argument("--schema", type=Path, help="TOML of a data set of your own")
    parser.add_argument("--data", type=Path, required=True, help="folder with the three files")
    parser.add_argument("--seeds", default="2021,2022,2023")
    parser.add_argument(
        "--models", default=",".join(NETWORKS), help="comma-separated; all by default"
    )
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/fields"))
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:<n>")
    parser.add_argument(
        "--workers", type=int, help="fits at a time; one per GPU, or one per core, by default"
    )
    parser.add_argument("--max-epochs", type=int, help="stop fits early, for a trial run")
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: run_all(arguments))


if __name__ == "__main__":
    sys.exit(main())
