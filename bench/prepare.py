"""Time and memory of 00_data to 30_features and of training steps, at the
challenge's size.

reads   nothing: 00_data generates the rows
writes  OUT/prepare-<random>/ (1.1 GB for 3.6M rows), removed at the end unless
        --keep
run     python -m bench.prepare [--rows 3600000] [--items 91717] [--model qin]
        [--steps 2]
        [--out artifacts/bench] [--keep] [--json]

Each stage runs as users run it. Seconds and peak memory come from its
artifact.json; the seconds of its process also include start-up and the sha256
of the inputs. Then one model of published widths trains on the CPU and on fold
0 as in 50_train, for three epochs of --steps steps (0: no training): the
memory of training does not grow with the number of steps.
"""

import argparse
import dataclasses
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import output, steps
from bench.challenge_like import ROWS_PER_USER
from bench.subprocess_call import call_in_subprocess
from bench.worlds import stages
from features.errors import InputError
from features.store.schema import PUBLISHED_ROWS
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.config import load as load_config
from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.runtime import cli, usage
from pipeline.runtime.compute import prepare_training
from pipeline.training.context import TrainingContext

PROFILE = """\
# The sample of bench.prepare; networks as published.
artifacts = {artifacts}
models = [{model}]

[data]
source = "sample"
users = {users}
valid_users = {valid_users}
test_users = {test_users}
items = {items}
"""
MIN_USERS = 50  # in a split, so that both labels occur
MAX_HELD_ROWS = 8192 * 4  # that inference scores


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    sizes = {"rows": PUBLISHED_ROWS["train"], "items": PUBLISHED_ROWS["item_info"] - 1}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--model", default="qin")
    parser.add_argument("--steps", type=int, default=2, help="in an epoch of training; 0: none")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"))
    parser.add_argument("--keep", action="store_true", help="leave the artifacts where they are")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: measure_in_folder(arguments))


def measure_in_folder(a: argparse.Namespace) -> None:
    """Check the arguments, then run and print everything in a new folder."""
    if a.rows % ROWS_PER_USER or a.rows < ROWS_PER_USER * MIN_USERS or a.steps < 0:
        raise InputError(
            f"--rows {a.rows} --steps {a.steps}: expected a multiple of {ROWS_PER_USER} rows, at"
            f" least {ROWS_PER_USER * MIN_USERS}, and at least 0 steps"
        )
    a.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="prepare-", dir=a.out.resolve()))
    try:
        profile = write_profile(folder, a)
        run(profile, load_config.load(str(profile), ["train.device=cpu"]), a)
        if a.keep:
            output.text_printer(a.json)(
                f"\nkept: {profile}, and beside it this profile's artifacts"
            )
    finally:
        if not a.keep:
            shutil.rmtree(folder, ignore_errors=True)


def write_profile(folder: Path, a: argparse.Namespace) -> Path:
    """A profile with train, valid and test in the challenge's proportions."""
    users = {
        name: max(MIN_USERS, round(n * a.rows / PUBLISHED_ROWS["train"] / ROWS_PER_USER))
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
    machine, print_text = output.describe_machine(), output.text_printer(a.json)
    print_text(f"{a.rows:,} train rows, {a.items:,} items; {output.machine_line(machine)}\n")
    names = ("stage", "s", "s with its start", "CPU s", "peak MiB", "MB on disk")
    print_text(output.table_header(names))
    results = {"machine": machine, "rows": a.rows, "items": a.items, "stages": {}}
    for stage in stages.up_to(s, "30_features"):
        figures = results["stages"][stage] = run_stage(stage, profile, s)
        print_text(output.table_row((stage, *(f"{value:,.1f}" for value in figures.values()))))
    results["store"] = store_size(s)
    rows, items = results["store"]["rows_mb"], results["store"]["items_mb"]
    print_text(f"\nstore: {rows:.1f} MB of rows and histories, and an item table of {items:.1f} MB")
    if a.steps:
        results["training"] = call_in_subprocess(f"training {a.model}", train, s, a.model, a.steps)
        print_text("\n" + training_table(a.model, s, results["training"], rows + items))
    if a.json:
        print(json.dumps(results))


def run_stage(stage: str, profile: Path, s: Settings) -> dict[str, float]:
    """Run a stage as users do: figures of the stage and its process, in the table's order."""
    before, started = cpu_seconds(), time.perf_counter()
    completed = subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}", str(profile)],
        cwd=paths.REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    process_seconds = time.perf_counter() - started
    if completed.returncode:
        message = completed.stderr.strip().removeprefix("error: ") or "stopped, or was killed"
        raise InputError(f"{stage}: {message}")
    (artifact,) = graph.OUTPUTS[stage](s)
    record = spec.record(spec.require(artifact))
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
    """MB (10^6 bytes) of the store: its item table, and everything else."""
    sizes = spec.record(spec.require(graph.store(s)))["bytes"]
    items = sum(size for name, size in sizes.items() if name.startswith("items/"))
    return {"rows_mb": (sum(sizes.values()) - items) / 1e6, "items_mb": items / 1e6}


def train(s: Settings, model: str, n_steps: int) -> dict:
    """Training steps on the rows outside fold 0, as in 50_train; see bench.steps.measure."""
    prepare_training(s.train.threads)
    libraries, cfg = steps.resident_mib(), s.networks[model]
    context = TrainingContext.of_run(s)
    network, opened = context.network(model, 0), steps.resident_mib()
    rows, label = context.rows["train"].cut(cfg.max_len), context.label["train"]
    inside = (context.fold != 0).nonzero().squeeze(1)
    held = (context.fold == 0).nonzero().squeeze(1)[:MAX_HELD_ROWS]
    measurement = steps.measure(
        network, rows.take(inside), label[inside], rows.take(held), label[held], cfg.fit, n_steps
    )
    return {"libraries_mib": libraries, "opened_mib": opened} | dataclasses.asdict(measurement)


def training_table(model: str, s: Settings, m: dict, store_mb: float) -> str:
    """What uses the memory of training; `m` is a result of `train`."""
    copies = 4 * m["weights_mib"]
    parts = {
        "libraries": m["libraries_mib"],
        "rows, histories, network, frozen item table": m["opened_mib"] - m["libraries_mib"],
        "the fold's rows": m["before_mib"] - m["opened_mib"],
        "gradients, Adam's moments, best weights (4 times the weights)": copies,
        "a batch's activations and work space": m["peak_mib"] - m["before_mib"] - copies,
        "peak": m["peak_mib"],
        "peak beyond the store": m["peak_mib"] - store_mb * 1e6 / 2**20,
    }
    size = s.networks[model].fit.batch_size
    names = (f"training {model} in batches of {size:,} rows, memory of the host", "MiB")
    rows = (output.table_row((name, f"{mib:,.0f}")) for name, mib in parts.items())
    return "\n".join([output.table_header(names), *rows])


if __name__ == "__main__":
    sys.exit(main())
