"""Training and inference, side by side: the published way of working and ours, in one run.

    padded    every history padded to max_len, every position embedded, mapped and projected, rows
              collated by a DataLoader (bench/padded.py); float32
    exact     ours, the published arithmetic in float32
    default   ours, as models/<model>.toml has it, or as words such as qnn.bank=collapsed change it

All three train the same network from the same weights on generated rows of the challenge's shape
(bench/challenge_like.py). Each is a process of its own, which ends with its peak memory, and they
take turns for some rounds, since machines are noisy: what is printed is the median.

run     python -m bench.train [key=value ...] [--model qin] [--rows N] [--batch B]
        [--device cpu|cuda] [--json]
"""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench import challenge_like, padded
from bench.alone import alone
from bench.padded import PaddedNetwork
from features.errors import InputError
from models.batches.feed import batches_on_device
from models.batches.rows import Batch, Rows
from models.network import Network
from models.settings import NetworkSettings
from models.training.fit import predict, train_epoch
from pipeline.artifacts import provenance
from pipeline.config.schema import build
from pipeline.config.tables import merge, read_override
from pipeline.runtime.cli import exit_code

MODELS = Path(__file__).parent.parent / "models"
VARIANTS = ("padded", "exact", "default")
PHASES = ("batch", "forward", "backward", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The words of the command line, and which variant is measured."""

    model: str
    rows: int
    items: int
    batch: int
    device: str
    seconds: float
    words: tuple[str, ...] = ()
    variant: str = "default"


def settings_of(task: Task) -> NetworkSettings:
    """The model's own settings, or the published arithmetic of the same network."""
    path = MODELS / f"{task.model}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in MODELS.glob("*.toml")))
        raise InputError(f"--model {task.model}: no such network; there are {known}")
    raw, problems = tomllib.loads(path.read_text()), []
    for word in task.words if task.variant == "default" else ():
        raw = merge(raw, read_override(word))
    s = build(NetworkSettings, raw, task.model, problems)
    if problems:
        raise InputError("; ".join(problems))
    if task.variant != "default":
        exact = {"fit": replace(s.fit, precision="float32"), "qnn": replace(s.qnn, bank="full")}
        s = replace(s, **exact)
    return replace(s, fit=replace(s.fit, batch_size=task.batch))


def measure(task: Task) -> dict:
    """Rows a second in training and inference, and the peak memory, of one variant."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    device, s = torch.device(task.device), settings_of(task)
    rows, label = challenge_like.rows(task.rows, s.max_len, task.items)
    network = Network(s, challenge_like.items(task.items)).to(device)
    bench = PaddedBench if task.variant == "padded" else OurBench
    return bench(task, s, network, rows.to(device), label.to(device)).run()


class Bench:
    """One variant: what a training step and an inference step are."""

    def __init__(self, task: Task, s: NetworkSettings, network: Network, rows: Rows, label: Tensor):
        self.task, self.s, self.network = task, s, network
        self.rows, self.label = rows, label
        self.at_once = len(rows)  # of a step of inference

    def run(self) -> dict:
        trained, shares = self.train(Clock(self.task, self.task.batch))
        inferred = self.infer(Clock(self.task, self.at_once))
        facts = {"train": trained, "infer": inferred, "peak_mib": peak_mib(self.rows.device)}
        return facts | {"phases": shares}

    def shuffled(self) -> Sequence[Tensor]:
        """Row positions of all batches of an epoch."""
        return torch.randperm(len(self.rows)).to(self.rows.device).split(self.task.batch)


class OurBench(Bench):
    def train(self, clock: "Clock") -> tuple[float, dict]:
        optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        train_epoch(self.network, clock.steps(self.fed()), optimiser, self.s.fit)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            train_epoch(self.network, itertools.islice(self.fed(), 2), optimiser, self.s.fit)
        return clock.rows_per_second, shares(profiled)

    def fed(self) -> Iterator[tuple[Batch, Tensor]]:
        """Batches and labels of shuffled rows, without end."""
        while True:
            yield from batches_on_device(self.rows, self.label, self.shuffled(), self.rows.device)

    def infer(self, clock: "Clock") -> float:
        for rows in clock.steps(itertools.repeat(self.rows)):
            predict(self.network, rows)
        return clock.rows_per_second


class PaddedBench(Bench):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.at_once = self.task.batch

    def loaded(self) -> Iterator[tuple[Tensor, ...]]:
        while True:
            for batch in padded.loader(self.rows, self.label, self.task.batch, shuffle=True):
                yield tuple(column.to(self.rows.device) for column in batch)

    def train(self, clock: "Clock") -> tuple[float, dict]:
        plain = PaddedNetwork(self.network).train()
        optimiser = torch.optim.Adam(plain.parameters(), lr=1e-3, foreach=False)
        for batch in clock.steps(self.loaded()):
            padded.train_step(plain, batch, optimiser, self.s.fit)
        return clock.rows_per_second, {}

    @torch.no_grad()
    def infer(self, clock: "Clock") -> float:
        plain = PaddedNetwork(self.network).eval()
        for *ids, _ in clock.steps(self.loaded()):
            plain(*ids).mean(1).sigmoid()
        return clock.rows_per_second


class Clock:
    """Lets steps pass for some seconds, three at least; the first warms up and does not count."""

    def __init__(self, task: Task, rows: int) -> None:
        self.task, self.rows = task, rows  # of a step
        self.rows_per_second = math.nan

    def steps(self, batches: Iterable) -> Iterator:
        started = 0.0
        for n, batch in enumerate(batches):
            if self.task.device == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            if n == 1:
                started = now
            if n >= 3 and now - started >= self.task.seconds:
                self.rows_per_second = (n - 1) * self.rows / (now - started)
                return
            yield batch


def shares(profiled: profile) -> dict[str, float]:
    """Of the time of a training step, by phase."""
    spent = {e.key: e.cpu_time_total for e in profiled.key_averages() if e.key in PHASES}
    return {phase: spent[phase] / sum(spent.values()) for phase in PHASES}


def peak_mib(device: torch.device) -> int:
    """Of the process, or on a GPU what torch allocated there."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    return provenance.peak_mib()


def run(arguments: argparse.Namespace) -> None:
    """Measure all variants in turns and print the table."""
    task = check(arguments)
    found: dict[str, list[dict]] = {variant: [] for variant in VARIANTS}
    for n in range(arguments.rounds):
        for variant in VARIANTS:
            facts = alone(variant, measure, replace(task, variant=variant))
            found[variant].append(facts)
            said = f"train {facts['train']:,.0f} rows/s, infer {facts['infer']:,.0f} rows/s"
            print(f"round {n + 1} {variant}: {said}, peak {facts['peak_mib']} MiB", flush=True)
    medians = {variant: median(facts) for variant, facts in found.items()}
    print(json.dumps(medians) if arguments.json else "\n".join(markdown(medians, task)))


def check(arguments: argparse.Namespace) -> Task:
    words = {name: getattr(arguments, name) for name in Task.__slots__ if name != "variant"}
    task = Task(**words | {"words": tuple(arguments.words)})
    if settings_of(task).interest not in ("asta", "din"):
        raise InputError(f"--model {task.model}: bench/padded.py knows qin, din and final")
    if task.batch < 2 or task.rows % task.batch:
        raise InputError(
            f"--rows {task.rows} must be a multiple of --batch {task.batch}, 2 or more"
        )
    if task.items < 10 or arguments.rounds < 1 or task.seconds < 0:
        raise InputError("--items must be at least 10, --rounds 1, --seconds 0")
    if task.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but torch sees no CUDA device here")
    return task


def median(rounds: list[dict]) -> dict:
    """Figure by figure."""
    figures = {k: statistics.median(facts[k] for facts in rounds) for k in ("train", "infer")}
    phases = {p: statistics.median(f["phases"][p] for f in rounds) for p in rounds[0]["phases"]}
    return figures | {"peak_mib": max(facts["peak_mib"] for facts in rounds), "phases": phases}


def markdown(medians: dict[str, dict], task: Task) -> Iterator[str]:
    base = medians["padded"]
    yield f"\n{task.model}, batch {task.batch:,}, {task.device}, {platform.machine()}"
    yield "\n| | train rows/s | ratio | infer rows/s | ratio | peak MiB | share of a step |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for variant, found in medians.items():
        ratios = {k: f"{found[k] / base[k]:.1f}x" for k in ("train", "infer")}
        phases = ", ".join(f"{name} {share:.1%}" for name, share in found["phases"].items()) or "-"
        yield (
            f"| {variant} | {found['train']:,.0f} | {ratios['train']} | {found['infer']:,.0f}"
            f" | {ratios['infer']} | {found['peak_mib']} | {phases} |"
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="key=value", help="settings of `default`")
    parser.add_argument("--model", default="qin")
    parser.add_argument("--rows", type=int, default=65_536, help="generated rows (65,536)")
    parser.add_argument("--items", type=int, default=challenge_like.N_ITEMS, help="(91,718)")
    parser.add_argument("--batch", type=int, default=8192, help="rows of a step (8192)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each variant (3)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (10)")
    parser.add_argument("--json", action="store_true", help="the medians as JSON, without a table")
    arguments = parser.parse_intermixed_args(argv)
    return exit_code(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
