"""Speed of training and inference: the published implementation and ours, in one
run.

    padded    every history padded to max_len, every position embedded, mapped
              and projected, rows collated by a DataLoader
              (bench/tools/padded.py); float32; memory as torch takes it
    exact     ours, with the published arithmetic in float32
    default   ours, with models/<model>.toml and overrides such as
              qnn.bank=collapsed

All three train the same network from the same weights on generated rows of the
challenge's shape (bench/tools/challenge_like.py). Each runs in a subprocess,
which reports its peak memory. Machines are noisy, so the variants take turns
for some rounds, and the table shows medians.

run     python -m bench.train [key=value ...] [--model qin] [--rows N]
        [--batch B] [--threads T] [--device cpu|cuda] [--json]
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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.tools import challenge_like, networks, output, padded
from bench.tools.padded import PaddedNetwork
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from models.batches.batch import Batch
from models.batches.feed import batches_on_device
from models.batches.rows import Rows
from models.layers.precision import product_precision, resolve_precision
from models.network import Network
from models.settings import NetworkSettings
from models.training.fit import predict, train_epoch
from pipeline.artifacts import provenance
from pipeline.config.paths import MODELS
from pipeline.config.tables import read_override
from pipeline.runtime import usage
from pipeline.runtime.cli import exit_code
from pipeline.runtime.compute import prepare_training

VARIANTS = ("padded", "exact", "default")
PHASES = ("batch", "forward", "backward", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantConfig:
    """The options of the command line, and which variant to measure."""

    model: str
    rows: int
    items: int
    batch: int
    device: str
    threads: int
    seconds: float
    overrides: tuple[str, ...] = ()
    variant: str = "default"


def network_settings(config: VariantConfig) -> NetworkSettings:
    """The settings of the model with the overrides, or of the published arithmetic."""
    path = MODELS / f"{config.model}.toml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in MODELS.glob("*.toml")))
        raise InputError(f"--model {config.model}: no such network; there are {names}")
    typed = config.overrides if config.variant == "default" else ()
    cfg = networks.network_settings(config.model, *map(read_override, typed))
    if config.variant != "default":
        exact = {"fit": replace(cfg.fit, precision="float32"), "qnn": replace(cfg.qnn, bank="full")}
        cfg = replace(cfg, **exact)
    return replace(cfg, fit=replace(cfg.fit, batch_size=config.batch))


def measure(config: VariantConfig) -> dict:
    """Rows per second in training and inference, and the peak memory, of one variant."""
    set_up = torch.set_num_threads if config.variant == "padded" else prepare_training
    set_up(config.threads)
    torch.manual_seed(0)
    device, cfg = torch.device(config.device), network_settings(config)
    rows, label = challenge_like.rows(config.rows, cfg.max_len, config.items)
    network = Network(cfg, challenge_like.items(config.items)).to(device)
    variant = PaddedVariant if config.variant == "padded" else OurVariant
    with product_precision("float32"):  # what padded computes; ours says itself what it wants
        return variant(config, cfg, network, rows.to(device), label.to(device)).run()


class Variant:
    """One variant: how it trains and how it infers."""

    def __init__(
        self,
        config: VariantConfig,
        cfg: NetworkSettings,
        network: Network,
        rows: Rows,
        label: Tensor,
    ) -> None:
        self.config, self.cfg, self.network = config, cfg, network
        self.rows, self.label = rows, label
        self.inference_rows = len(rows)  # in a step

    def run(self) -> dict:
        train_rate, phases = self.train(StepTimer(self.config, self.config.batch))
        infer_rate = self.infer(StepTimer(self.config, self.inference_rows))
        peak = peak_mib(self.rows.device)
        return {"train": train_rate, "infer": infer_rate, "peak_mib": peak, "phases": phases}

    def shuffled(self) -> Sequence[Tensor]:
        """The row positions of each batch of an epoch."""
        return torch.randperm(len(self.rows)).to(self.rows.device).split(self.config.batch)


class OurVariant(Variant):
    def train(self, timer: "StepTimer") -> tuple[float, dict]:
        optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        train_epoch(self.network, timer.steps(self.batches()), optimiser, self.cfg.fit)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            train_epoch(self.network, itertools.islice(self.batches(), 2), optimiser, self.cfg.fit)
        return timer.rows_per_second, phase_shares(profiled)

    def batches(self) -> Iterator[tuple[Batch, Tensor]]:
        """Endless batches and labels of shuffled rows."""
        while True:
            yield from batches_on_device(self.rows, self.label, self.shuffled(), self.rows.device)

    def infer(self, timer: "StepTimer") -> float:
        for rows in timer.steps(itertools.repeat(self.rows)):
            predict(self.network, rows)
        return timer.rows_per_second


class PaddedVariant(Variant):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.inference_rows = self.config.batch

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Endless batches of shuffled rows from a DataLoader."""
        while True:
            for batch in padded.loader(self.rows, self.label, self.config.batch, shuffle=True):
                yield tuple(column.to(self.rows.device) for column in batch)

    def train(self, timer: "StepTimer") -> tuple[float, dict]:
        network = PaddedNetwork(self.network).train()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=False)
        for batch in timer.steps(self.batches()):
            padded.train_step(network, batch, optimiser, self.cfg.fit)
        return timer.rows_per_second, {}

    @torch.no_grad()
    def infer(self, timer: "StepTimer") -> float:
        network = PaddedNetwork(self.network).eval()
        for *ids, _ in timer.steps(self.batches()):
            network(*ids).mean(1).sigmoid()
        return timer.rows_per_second


class StepTimer:
    """Yields batches for `config.seconds` and at least three steps; the first only warms up."""

    def __init__(self, config: VariantConfig, rows_per_step: int) -> None:
        self.config, self.rows_per_step = config, rows_per_step
        self.rows_per_second = math.nan

    def steps(self, batches: Iterable) -> Iterator:
        started = 0.0
        for n, batch in enumerate(batches):
            if self.config.device == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            if n == 1:
                started = now
            if n >= 3 and now - started >= self.config.seconds:
                self.rows_per_second = (n - 1) * self.rows_per_step / (now - started)
                return
            yield batch


def phase_shares(profiled: profile) -> dict[str, float]:
    """The share of each phase in the time of a training step."""
    spent = {e.key: e.cpu_time_total for e in profiled.key_averages() if e.key in PHASES}
    return {phase: spent[phase] / sum(spent.values()) for phase in PHASES}


def peak_mib(device: torch.device) -> int:
    """Peak memory of the process; on a GPU, of torch's allocations there."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    return provenance.peak_mib()


def run(arguments: argparse.Namespace) -> None:
    """Measure all variants in turns and print the table."""
    output.quiet_profiler()  # for the processes that measure
    config = check(arguments)
    rounds: dict[str, list[dict]] = {variant: [] for variant in VARIANTS}
    for n in range(arguments.rounds):
        for variant in VARIANTS:
            figures = call_in_subprocess(variant, measure, replace(config, variant=variant))
            rounds[variant].append(figures)
            rates = f"train {figures['train']:,.0f} rows/s, infer {figures['infer']:,.0f} rows/s"
            print(f"round {n + 1} {variant}: {rates}, peak {figures['peak_mib']} MiB", flush=True)
    medians = {variant: median(figures) for variant, figures in rounds.items()}
    print(json.dumps(medians) if arguments.json else "\n".join(markdown(medians, config)))


def check(arguments: argparse.Namespace) -> VariantConfig:
    """The options. Raises InputError for those that cannot be measured."""
    names = [name for name in VariantConfig.__slots__ if name not in ("overrides", "variant")]
    options = {name: getattr(arguments, name) for name in names}
    config = VariantConfig(**options, overrides=tuple(arguments.overrides))
    if network_settings(config).interest not in ("asta", "din"):
        raise InputError(f"--model {config.model}: bench/tools/padded.py knows qin, din and final")
    if config.batch < 2 or config.rows % config.batch:
        raise InputError(
            f"--rows {config.rows} must be a multiple of --batch {config.batch}, which must be at"
            " least 2"
        )
    if config.items < 10 or min(arguments.rounds, config.threads) < 1 or config.seconds < 0:
        raise InputError("--items must be at least 10, --rounds and --threads 1, --seconds 0")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but torch sees no CUDA device here")
    try:
        resolve_precision(network_settings(config).fit.precision, torch.device(config.device))
    except ValueError as error:
        raise InputError(f"{config.model}.{error}") from None
    return config


def median(rounds: list[dict]) -> dict:
    """The median of each figure, and the largest peak memory."""
    rates = {k: statistics.median(figures[k] for figures in rounds) for k in ("train", "infer")}
    phases = {p: statistics.median(f["phases"][p] for f in rounds) for p in rounds[0]["phases"]}
    return rates | {"peak_mib": max(f["peak_mib"] for f in rounds), "phases": phases}


def markdown(medians: dict[str, dict], config: VariantConfig) -> Iterator[str]:
    """The lines of the table, one per variant."""
    base = medians["padded"]
    yield f"\n{config.model}, batch {config.batch:,}, {config.device}, {platform.machine()}\n"
    names = ("train rows/s", "ratio", "infer rows/s", "ratio", "peak MiB", "share of a step")
    yield output.table_header(("", *names))
    for variant, figures in medians.items():
        cells = [variant]
        for key in ("train", "infer"):
            cells += [f"{figures[key]:,.0f}", f"{figures[key] / base[key]:.1f}x"]
        shares = (f"{phase} {share:.1%}" for phase, share in figures["phases"].items())
        yield output.table_row([*cells, figures["peak_mib"], ", ".join(shares) or "-"])


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of `default`")
    parser.add_argument("--model", default="qin")
    parser.add_argument("--rows", type=int, default=65_536, help="generated rows (65,536)")
    parser.add_argument("--items", type=int, default=challenge_like.N_ITEMS, help="(91,718)")
    parser.add_argument("--batch", type=int, default=8192, help="rows in a step (8192)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    cores = os.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cores, help="of the CPU (all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant (3)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="that each measurement takes (10)"
    )
    parser.add_argument("--json", action="store_true", help="print the medians as JSON, no table")
    arguments = parser.parse_intermixed_args(argv)
    return exit_code(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
