"""A generated world of the challenge's size through 00_data .. 30_features, and into training.

reads   nothing
writes  OUT/prepare-<random>/ (1.1 GB for 3.6M rows), removed at the end unless --keep
run     python -m bench.prepare [--rows 3600000] [--items 91717] [--model qin] [--steps 2]
        [--out artifacts/bench] [--keep] [--json]

Every stage is run as its users run it; seconds and peak memory are those of its artifact.json, the
process's own seconds have the start, and reading the inputs for their sha256, besides. Then three
epochs of --steps steps of one model at published widths, on the CPU and on fold 0, as 50_train has
them: memory of training does not grow with the number of steps (0: no training).
"""

import argparse
import dataclasses
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench import report, steps
from bench.alone import alone
from bench.challenge_like import ROWS_PER_USER
from features.errors import InputError
from features.store.schema import PUBLISHED_ROWS
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.config import load as load_config
from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.training.context import TrainingContext

PROFILE = """\
# The world of bench.prepare; networks as published.
artifacts = {artifacts}
models = [{model}]

[data]
source = "sample"
users = {users}
valid_users = {valid_users}
test_users = {test_users}
items = {items}
"""
FEWEST_USERS = 50  # of a split: both labels occur
STAGES = ("00_data", "10_prepare", "20_folds", "30_features")
JUDGED = 8192 * 4  # held-out rows of inference, at most


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"rows": PUBLISHED_ROWS["train"], "items": PUBLISHED_ROWS["item_info"] - 1}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--model", default="qin")
    parser.add_argument("--steps", type=int, default=2, help="of an epoch of training; 0: none")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"))
    parser.add_argument("--keep", action="store_true", help="leave the artifacts where they are")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return cli.exit_code(lambda: work(arguments))


def work(a: argparse.Namespace) -> None:
    if a.rows % ROWS_PER_USER or a.rows < ROWS_PER_USER * FEWEST_USERS or a.steps < 0:
        raise InputError(
            f"--rows {a.rows} --steps {a.steps}: expected rows by the {ROWS_PER_USER}, at least"
            f" {ROWS_PER_USER * FEWEST_USERS}, and no fewer than 0 steps"
        )
    a.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="prepare-", dir=a.out.resolve()))
    try:
        profile = write_profile(folder, a)
        run(profile, load_config.load(str(profile), ["train.device=cpu"]), a)
        if a.keep:
            report.talk(a.json)(f"\nkept: {profile} is the profile of what lies beside it")
    finally:
        if not a.keep:
            shutil.rmtree(folder, ignore_errors=True)


def write_profile(folder: Path, a: argparse.Namespace) -> Path:
    """A profile with train, valid and test in the challenge's proportions."""
    users = {
        name: max(FEWEST_USERS, round(n * a.rows / PUBLISHED_ROWS["train"] / ROWS_PER_USER))
        for name, n in PUBLISHED_ROWS.items()
    }
    text = PROFILE.format(
        artifacts=json.dumps(str(folder)), model=json.dumps(a.model), users=users["train"],
        valid_users=users["valid"], test_users=users["test"], items=a.items,
    )  # fmt: skip
    profile = folder / "generated.toml"
    profile.write_text(text, encoding="utf-8")
    return profile


def run(profile: Path, s: Settings, a: argparse.Namespace) -> None:
    """Run and print everything."""
    machine, say = report.machine(), report.talk(a.json)
    say(f"{a.rows:,} train rows, {a.items:,} items; {report.heading(machine)}\n")
    say(report.head(("stage", "s", "s with its start", "CPU s", "peak MiB", "MB on disk")))
    found = {"machine": machine, "rows": a.rows, "items": a.items, "stages": {}}
    for stage in STAGES:
        found["stages"][stage] = run_stage(stage, profile, s)
        say(report.line((stage, *(f"{v:,.1f}" for v in found["stages"][stage].values()))))
    found["store"] = store_size(s)
    rows, items = found["store"]["rows_mb"], found["store"]["items_mb"]
    say(f"\nstore: {rows:.1f} MB of rows and histories, and an item table of {items:.1f} MB")
    if a.steps:
        found["training"] = alone(f"training {a.model}", train, s, a.model, a.steps)
        say("\n" + training_table(a.model, s, found["training"], rows + items))
    if a.json:
        print(json.dumps(found))


def run_stage(stage: str, profile: Path, s: Settings) -> dict[str, float]:
    """Run a stage as its users do; its own figures and its process's, in the table's order."""
    before, started = cpu_seconds(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}", str(profile)],
        cwd=paths.REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    process_seconds = time.perf_counter() - started
    if done.returncode:
        said = done.stderr.strip().removeprefix("error: ") or "stopped, or was killed"
        raise InputError(f"{stage}: {said}")
    (place,) = graph.OUTPUTS[stage](s)
    record = spec.record(spec.require(place))
    return {
        "seconds": record["seconds"],
        "process_seconds": process_seconds,
        "cpu_seconds": cpu_seconds() - before,
        "peak_mib": record["peak_mib"],
        "mb": sum(record["bytes"].values()) / 1e6,
    }


def cpu_seconds() -> float:
    """CPU time of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def store_size(s: Settings) -> dict[str, float]:
    """MB (10^6 bytes) of the store: the item table, and all the rest."""
    sizes = spec.record(spec.require(graph.store(s)))["bytes"]
    items = sum(size for name, size in sizes.items() if name.startswith("items/"))
    return {"rows_mb": (sum(sizes.values()) - items) / 1e6, "items_mb": items / 1e6}


def train(s: Settings, model: str, n_steps: int) -> dict:
    """Steps on the train rows outside fold 0, as a fit of 50_train begins; see bench.steps."""
    torch.set_num_threads(s.train.threads)
    libraries, network = steps.resident_mib(), s.networks[model]
    context = TrainingContext.open(s, spec.require(graph.store(s)), spec.require(graph.folds(s)))
    made, opened = context.network(model, 0), steps.resident_mib()
    rows, label = context.rows["train"].cut(network.max_len), context.label["train"]
    inside = (context.fold != 0).nonzero().squeeze(1)
    held = (context.fold == 0).nonzero().squeeze(1)[:JUDGED]
    found = steps.measure(
        made, rows.take(inside), label[inside], rows.take(held), label[held], network.fit, n_steps
    )
    return {"libraries_mib": libraries, "opened_mib": opened} | dataclasses.asdict(found)


def training_table(model: str, s: Settings, m: dict, store_mb: float) -> str:
    """Where the memory of training goes."""
    kept = 4 * m["weights_mib"]
    parts = {
        "libraries": m["libraries_mib"],
        "rows, histories, network, frozen item table": m["opened_mib"] - m["libraries_mib"],
        "the fold's rows": m["before_mib"] - m["opened_mib"],
        "gradients, Adam's moments, best weights (4 times the weights)": kept,
        "a batch's activations and work space": m["peak_mib"] - m["before_mib"] - kept,
        "peak": m["peak_mib"],
        "peak beyond the store": m["peak_mib"] - store_mb * 1e6 / 2**20,
    }
    size = s.networks[model].fit.batch_size
    lines = [
        report.head((f"training {model} in batches of {size:,} rows, memory of the host", "MiB"))
    ]
    return "\n".join([*lines, *(report.line((name, f"{mib:,.0f}")) for name, mib in parts.items())])


if __name__ == "__main__":
    sys.exit(main())
