"""Time and memory of every stage of a run, at the challenge's size and at
smaller ones.

reads   nothing: 00_data generates the rows
writes  OUT/stages-<random>/ (2 GB for 3.6M rows), removed after each size
        unless --keep
run     python -m bench.stages [--rows 400000,1200000,3600000]
        [--items 91717] [--history 3.2] [--last 90_score] [--model qin]
        [--steps 2]
        [--out artifacts/bench] [--keep] [--json]

Each stage runs as users run it, up to --last. 50_train is there for what later
stages read: its four networks have a width of 4 and learn for one epoch, so its
figures are not those of training; its peak is that of the largest fit. 40_tune
is left out, and 90_score scores test by the whole run. Seconds are those of the
process, with its start and the sha256 of its inputs; CPU seconds, of all its
threads and processes, are the ones to trust on a busy machine. Peak memory
comes from artifact.json.

Then one model of published widths trains on the CPU and on fold 0 as in
50_train, for three epochs of --steps steps (0: no training): the memory of
training does not grow with the number of steps.

Of several sizes, the last table has the slopes: b in y = a x^b of x rows, items
or `data.history` by least squares. With 1, y is proportional to x; with 0,
independent of it. One of the three takes several values. A user has one slate
of four rows, so slates grow as rows do.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.tools import output, training_steps
from bench.tools.challenge_like import ROWS_PER_USER
from bench.tools.numbers import whole_numbers
from bench.tools.slope import slope
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from features.settings import SampleSettings
from features.sources.sample_world import WIDTH
from features.store.schema import PUBLISHED_ROWS
from pipeline import graph
from pipeline.artifacts import provenance, spec
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config import load as load_config
from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.reporting import leaderboard
from pipeline.runtime import cli, usage

PROFILE = """\
# The sample of bench.stages; networks as published.
artifacts = {artifacts}
submissions = {submissions}

[data]
source = "sample"
users = {users}
valid_users = {valid_users}
test_users = {test_users}
items = {items}
history = {history}
"""
NARROW = (  # the networks whose scores are blended
    "network.embedding_dim=4", "network.content_dim=4", "network.max_len=8",
    "network.din.hidden=8", "network.mlp.hidden=8", "network.final.block1=8,8",
    "network.final.block2=8", "network.qnn.layers=1", "network.qnn.rows=1",
    "network.fit.max_epochs=1",
)  # fmt: skip
SCORE = "90_score"
STAGES = [*(name for name in graph.STAGES if name not in ("25_prefixes", "40_tune")), SCORE]
MIN_ITEMS = 200  # of a generated world
MIN_USERS = 50  # in a split, so that both labels occur
SECONDS_BETWEEN_LOOKS = 0.05  # at the memory of a stage
FIGURES = {"seconds": "s", "cpu_seconds": "CPU s", "peak_mib": "peak MiB", "mb": "MB on disk"}


@dataclass(frozen=True, slots=True)
class Size:
    """What is generated: train rows, items, and the median history as data.history has it."""

    rows: int
    items: int
    history: float


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    items = PUBLISHED_ROWS["item_info"] - 1
    parser.add_argument("--rows", default=str(PUBLISHED_ROWS["train"]), help="comma-separated")
    parser.add_argument("--items", default=str(items), help="comma-separated")
    history = str(SampleSettings().history)
    parser.add_argument("--history", default=history, help="of data.history, comma-separated")
    parser.add_argument("--last", default=SCORE, help="stage, which ends the run")
    parser.add_argument("--model", default="qin", help="of the training steps")
    parser.add_argument("--steps", type=int, default=2, help="in an epoch of training; 0: none")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"))
    parser.add_argument("--keep", action="store_true", help="leave the artifacts where they are")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(a: argparse.Namespace) -> None:
    """Check the arguments, then measure and print one size after another, and the slopes."""
    sizes = sizes_of(a)
    if a.last not in STAGES:
        raise InputError(f"--last {a.last}: expected one of {', '.join(STAGES)}")
    load_config.load("sample", [f"models={a.model}"])  # refuses unknown networks
    a.out.mkdir(parents=True, exist_ok=True)
    machine, print_text = output.describe_machine(), output.text_printer(a.json)
    print_text(output.machine_line(machine))
    results = {"machine": machine, "networks": NARROW, "sizes": []}
    for size in sizes:
        results["sizes"].append(dataclasses.asdict(size) | measure_in_folder(size, a))
    if len(sizes) > 1:
        (varied,) = (name for name in Size.__slots__ if len({getattr(n, name) for n in sizes}) > 1)
        stages = {size[varied]: size["stages"] for size in results["sizes"]}
        results["slopes"] = slopes(stages)
        print_text("\n" + output.table_header((f"slope against the {varied}", *FIGURES.values())))
        for stage, by_figure in results["slopes"].items():
            print_text(output.table_row((stage, *(f"{b:.2f}" for b in by_figure.values()))))
    if a.json:
        print(json.dumps(results))


def sizes_of(a: argparse.Namespace) -> list[Size]:
    """What is measured, one after another, ascending."""
    rows = sorted(set(whole_numbers("--rows", a.rows, ROWS_PER_USER * MIN_USERS)))
    items = sorted(set(whole_numbers("--items", a.items, MIN_ITEMS)))
    history = sorted({_positive("--history", text) for text in a.history.split(",")})
    if any(n % ROWS_PER_USER for n in rows):
        raise InputError(f"--rows {a.rows}: expected multiples of {ROWS_PER_USER} rows")
    if a.steps < 0:
        raise InputError(f"--steps {a.steps}: expected at least 0")
    if sum(len(values) > 1 for values in (rows, items, history)) > 1:
        raise InputError(
            f"--rows {a.rows} --items {a.items} --history {a.history}: expected several values of"
            " one alone"
        )
    return [Size(*values) for values in itertools.product(rows, items, history)]


def _positive(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= WIDTH:
        raise InputError(f"{option}: got {text!r}, expected numbers up to {WIDTH}, such as 3.2,12")
    return number


def measure_in_folder(size: Size, a: argparse.Namespace) -> dict:
    """The figures of one size, printed; its files lie in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="stages-", dir=a.out.resolve()))
    print_text = output.text_printer(a.json)
    try:
        print_text(f"\n{size.rows:,} train rows, {size.items:,} items, history {size.history:g}\n")
        result = measure(write_profile(folder, size), a)
        if a.keep:
            print_text(f"\nkept: {folder}, its profile and that one's artifacts")
        return result
    finally:
        if not a.keep:
            shutil.rmtree(folder, ignore_errors=True)


def write_profile(folder: Path, size: Size) -> Path:
    """A profile with train, valid and test in the challenge's proportions."""
    users = {
        name: max(MIN_USERS, round(n * size.rows / PUBLISHED_ROWS["train"] / ROWS_PER_USER))
        for name, n in PUBLISHED_ROWS.items()
    }
    text = PROFILE.format(
        artifacts=json.dumps(str(folder)), submissions=json.dumps(str(folder / "submissions")),
        users=users["train"], valid_users=users["valid"], test_users=users["test"],
        items=size.items, history=size.history,
    )  # fmt: skip
    profile = folder / "generated.toml"
    profile.write_text(text, encoding="utf-8")
    return profile


def measure(profile: Path, a: argparse.Namespace) -> dict:
    """The figures of every stage, of the store and of training, printed."""
    print_text, figures = output.text_printer(a.json), {}
    s = load_config.load(str(profile), ["train.device=cpu", *NARROW])
    print_text(output.table_header(("stage", *FIGURES.values())))
    for stage in STAGES[: STAGES.index(a.last) + 1]:
        figures[stage] = run_stage(stage, s)
        print_text(
            output.table_row((stage, *(f"{value:,.1f}" for value in figures[stage].values())))
        )
    if a.last in ("00_data", "10_prepare", "15_probe"):
        return {"stages": figures}
    rows_mb, items_mb = store_size(s)
    print_text(
        f"\nstore: {rows_mb:.1f} MB of rows and histories, and an item table of {items_mb:.1f} MB"
    )
    result = {"stages": figures, "store": {"rows_mb": rows_mb, "items_mb": items_mb}}
    if a.steps:
        wide = load_config.load(str(profile), ["train.device=cpu", f"models={a.model}"])
        label = f"training {a.model}"
        trained = call_in_subprocess(label, training_steps.train, wide, a.model, a.steps)
        result["training"] = trained
        store_mb = rows_mb + items_mb
        print_text("\n" + training_steps.table(a.model, wide, trained, store_mb))
    return result


def run_stage(stage: str, s: Settings) -> dict[str, float]:
    """Run a stage as users do: its figures, as FIGURES names them."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        command = [sys.executable, "-m", f"pipeline.{stage}", *arguments_of(stage, s)]
        with subprocess.Popen(
            command, cwd=paths.REPOSITORY, stdout=printed, stderr=subprocess.STDOUT
        ) as process:
            peak_mib, (pid, status, used) = 0.0, os.wait4(process.pid, os.WNOHANG)
            while not pid:
                peak_mib = max(peak_mib, provenance.peak_kib_of(process.pid) / 1024)
                time.sleep(SECONDS_BETWEEN_LOOKS)
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
            process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        lines = printed.read().decode().splitlines()
    if process.returncode:
        message = lines[-1] if lines and process.returncode > 0 else "stopped, or was killed"
        raise InputError(f"{stage}: {message.removeprefix('error: ')}")
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }
    if stage == SCORE:  # it has no artifact that records its peak
        return figures | {"peak_mib": peak_mib, "mb": out_of(s).stat().st_size / 1e6}
    records = [spec.record(spec.require(artifact)) for artifact in artifacts_of(stage, s)]
    return figures | {
        "peak_mib": max(record["peak_mib"] for record in records),
        "mb": sum(sum(record["bytes"].values()) for record in records) / 1e6,
    }


def arguments_of(stage: str, s: Settings) -> list[str]:
    """What a user types behind the stage's name."""
    if stage != SCORE:
        return list(s.arguments)
    run, rows = graph.submission(s).path, graph.challenge_files(s)["test"]
    return ["--run", str(run), "--rows", str(rows), "--out", str(out_of(s)), "--device", "cpu"]


def out_of(s: Settings) -> Path:
    """The scores of 90_score."""
    return Path(s.artifacts) / "scores.parquet"


def artifacts_of(stage: str, s: Settings) -> list[ArtifactSpec]:
    """What a stage wrote."""
    outputs = graph.OUTPUTS.get(stage)
    return outputs(s) if outputs else [leaderboard.report_spec(s)]


def store_size(s: Settings) -> tuple[float, float]:
    """MB (10^6 bytes) of the store: everything but its item table, and that."""
    sizes = spec.record(spec.require(graph.store(s)))["bytes"]
    items = sum(size for name, size in sizes.items() if name.startswith("items/"))
    return (sum(sizes.values()) - items) / 1e6, items / 1e6


def slopes(stages: dict[int, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """By stage and figure, the exponent over the rows; `stages` by rows, of two or more sizes."""
    sizes = list(stages)
    return {
        stage: {name: slope(sizes, [stages[n][stage][name] for n in sizes]) for name in FIGURES}
        for stage in stages[sizes[0]]
    }


if __name__ == "__main__":
    sys.exit(main())
