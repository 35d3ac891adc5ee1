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
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.fields.data.schema import find
from bench.fields.data.store import open_fields, unpublished_splits
from bench.fields.data.writing import stored
from bench.fields.fits import fit_spec, run, scores
from bench.fields.page import write_tables
from bench.fields.settings import (
    DATA_SETS,
    MAX_NAMES,
    NETWORKS,
    DataSet,
    chosen,
    network_settings,
    networks,
)
from bench.fields.tables import Scores
from features.errors import InputError, listed
from features.outputs import refuse_input
from models.fields.settings import FieldSettings
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.choices import DEVICES
from pipeline.config.settings import TrainSettings
from pipeline.runtime import cli, usage
from pipeline.runtime.devices import device_slots, pick_device
from pipeline.training.executors import local
from pipeline.training.executors.base import Tasks

FEW_STEPS = 10  # an epoch: with fewer, a hundred epochs may end before a network has learned


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
    specs = {
        (name, seed): fit_spec(settings[name], seed, data, out, device.type)
        for name in names
        for seed in seeds
    }
    opened = open_fields(data)
    few_steps = _few_steps(of, settings, len(opened.rows["train"]))
    for line in few_steps:
        print(line)
    _train(a, of, settings, data, specs)
    measured = {name: scores([specs[name, seed].path for seed in seeds]) for name in names}
    others = unpublished_splits(data, of.data)
    figures = of.published if of.data.md5.test and "test" not in others else {}
    title = f"{of.name}: networks over fields, seeds {', '.join(map(str, seeds))}"
    notes = [*_notes(a, of, others, measured, with_published=bool(figures)), *few_steps]
    label = opened.label["test"].numpy()
    text = write_tables(out, title, notes, measured, label, figures)
    print("", text, f"tables: {out}.md and .html", sep="\n", flush=True)


def _train(
    a: argparse.Namespace,
    of: DataSet,
    settings: dict[str, FieldSettings],
    data: Path,
    specs: dict[tuple[str, int], ArtifactSpec],
) -> None:
    """The fits of `specs`, by network and seed, that are missing, several at a time."""
    first = {spec.path: key for key, spec in reversed(specs.items())}  # names may share a fit
    todo = [key for key, spec in specs.items() if not spec.done and first[spec.path] == key]
    at_least = max(len(todo), 2)  # one fit, too, has a process of its own, which may be killed
    slots = device_slots(TrainSettings(device=a.device, workers=a.workers or 0), at_least)
    print(f"bench.fields: {len(todo)} of {len(specs)} fits to do, {len(slots)} at a time")
    tasks: Tasks = {}
    for name, seed in todo:
        shown = f"{name} seed {seed}"
        section = f"[{name}] of {of.path}"
        fit = (settings[name], seed, data, specs[name, seed], shown, section)
        tasks[shown] = (*fit, os.getpid(), a.device)
    if len(slots) == 1:
        results = local.run_serial(run, tasks)
    else:
        advice = f"lower fit.batch_size in the network's section of {of.path}"
        results = local.run_loky(run, tasks, slots, advice)
    for _ in results:
        pass  # each has written its artifact


def _few_steps(of: DataSet, settings: dict[str, FieldSettings], n_train: int) -> list[str]:
    """A line where batches are so large for `n_train` rows that networks may not learn."""
    steps = {name: math.ceil(n_train / cfg.fit.batch_size) for name, cfg in settings.items()}
    few = [name for name, n_steps in steps.items() if n_steps < FEW_STEPS]
    if not few:
        return []
    least = min(steps.values())
    return [
        f"warning: train has {n_train:,} rows, so an epoch of {listed(few, MAX_NAMES)} has"
        f" {least} {'step' if least == 1 else 'steps'}, too few to learn much; lower"
        f" fit.batch_size under [shared] of {of.path}"
    ]


def _notes(
    a: argparse.Namespace,
    of: DataSet,
    others: dict[str, str],
    measured: dict[str, Scores],
    with_published: bool,
) -> Iterator[str]:
    """What the tables do not say: device, files, and figures that are left out. `others`: the
    splits that are not the published files, and why."""
    ran_on = {report["device"] for of_seeds in measured.values() for report in of_seeds.reports}
    yield f"Fits ran on: {', '.join(sorted(ran_on))}."
    for split, why in others.items():
        yield f"{split} is not known to be the published file: {why}."
    if a.max_epochs is not None:
        yield f"Fits stopped after at most {a.max_epochs} epochs."
    if of.published and not with_published:
        why = "" if of.data.md5.test else f", whose md5 {of.path.name} does not say (data.md5.test)"
        yield f"Published figures are left out: they are of the published test{why}."


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
