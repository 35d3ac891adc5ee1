"""How long one request takes on one CPU thread: one user and N candidates, nothing batched.

Each request is scored by the network as it was trained (eager), by the fused one in torch
(models.serving.network) and by the exported one in ONNX Runtime (pipeline.inference.export). They
take turns, so that other work of the machine disturbs all of them alike. Timed is the way from a
Request to its logits.
"""

import itertools
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from features.errors import InputError
from models.items import ItemTable
from models.layers.precision import has_bf16
from models.network import Network
from models.serving.request import Request
from models.settings import NetworkSettings
from pipeline.config.nearest import near
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build
from pipeline.inference import export, score_rows
from pipeline.inference.arguments import PUBLISHED, ScoreArgs
from pipeline.runtime.compute import one_thread

ITEMS, TAGS, CONTENT = 91_718, 11_740, 128  # rows of MicroLens-1M's tables, padding included
CANDIDATES = (1, 100, 1000)
REQUESTS, SECONDS = 300, 60  # timed per row, at most; a row ends after so many seconds
TIMED = 5  # requests per turn
COMPARED = 2  # requests whose scores are compared before the timing
HEAD = "| network | candidates | history | by | p50 ms | p95 ms | p99 ms | requests | difference |"

Score = Callable[[Request], Tensor]


def run(args: ScoreArgs) -> None:
    """Print the table: of the checkpoint, or of networks with random weights. Raises InputError."""
    if args.checkpoint is not None:
        networks = [(str(args.checkpoint), lambda: of_checkpoint(args))]
        print("90_score one CPU thread, random requests", flush=True)
    else:
        unknown = [name for name in args.latency if name not in PUBLISHED]
        if unknown:
            names = f"there are {', '.join(PUBLISHED)}{near(unknown[0], list(PUBLISHED))}"
            raise InputError(f"--latency {unknown[0]}: {names}")
        networks = [(name, partial(generated, name)) for name in args.latency or PUBLISHED]
        sizes = f"random weights, {ITEMS} items, content of {CONTENT} numbers"
        print(f"90_score one CPU thread, random requests, {sizes}", flush=True)
    print(HEAD, "|" + " --- |" * HEAD.count(" |"), sep="\n", flush=True)
    for name, make in networks:
        print_rows(name, *make(), args.history)


def of_checkpoint(args: ScoreArgs) -> tuple[Network, NetworkSettings]:
    checkpoint, network = score_rows.network_alone(args)
    return network, checkpoint.settings


def generated(name: str) -> tuple[Network, NetworkSettings]:
    """The network of models/<name>.toml on a random item table of published size."""
    problems: list[str] = []
    raw = tomllib.loads((REPOSITORY / "models" / f"{name}.toml").read_text(encoding="utf-8"))
    cfg = build(NetworkSettings, raw, "", problems)
    g = torch.Generator().manual_seed(0)
    items = ItemTable(
        tags=torch.randint(1, TAGS, (ITEMS, 5), generator=g),
        content=torch.randn(ITEMS, CONTENT, generator=g) / CONTENT**0.5,
        n_tags=TAGS,
    )
    return randomise(Network(cfg, items), g), cfg


@torch.no_grad()
def randomise(network: Network, g: torch.Generator) -> Network:
    """Draw weights of a trained network's magnitude: initial ones score every row 0.5."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            scale = value.shape[-1] ** -0.5 if value.ndim > 1 else 0.1
            drawn = torch.randn(value.shape, generator=g) * scale
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.weight[0] = 0
    return network


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each timed request; of each compared one, the largest probability difference."""

    seconds: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)


def print_rows(name: str, network: Network, cfg: NetworkSettings, length: int | None) -> None:
    """Print the rows of one network; histories have `length` items, None: max_len."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        fused = export.serving_form(network, cfg.max_len)
        export.write(fused, Path(folder))
        exported = export.Exported(Path(folder))
        n_items, n_users = exported.manifest.items, exported.manifest.users
        scorers: dict[str, Score] = {
            "network": lambda request: export.unfused(network, request, n_items, cfg.max_len),
            "fused": fused.score,
            "exported": exported.score,
        }
        if has_bf16(torch.device("cpu")):
            bf16 = export.serving_form(network, cfg.max_len, rounded=True)
            scorers["fused, bf16"] = bf16.score
        rng, length = np.random.default_rng(0), cfg.max_len if length is None else length
        for n in CANDIDATES:
            draw = partial(export.draw, rng, n_items, n_users, n, length)
            for scorer, timings in measure(scorers, iter(draw, None)).items():
                print(row(name, n, length, scorer, timings), flush=True)


def measure(scorers: dict[str, Score], requests: Iterator[Request]) -> dict[str, Timings]:
    """Time up to REQUESTS with each scorer, in turns; the first request of a turn is not timed.

    So the caches hold what the scorer reads, as on a machine that serves nothing else.
    """
    timings = {name: Timings() for name in scorers}
    for request in itertools.islice(requests, COMPARED):
        scores = {name: score(request).sigmoid() for name, score in scorers.items()}
        expected = next(iter(scores.values()))
        for name, got in scores.items():
            timings[name].differences.append(float((got - expected).abs().max()))
    end = time.perf_counter() + SECONDS
    for turn in range(REQUESTS // TIMED):
        if turn and time.perf_counter() > end:
            break
        first, *timed = itertools.islice(requests, 1 + TIMED)
        for name, score in scorers.items():
            score(first)
            for request in timed:
                started = time.perf_counter()
                score(request)
                timings[name].seconds.append(time.perf_counter() - started)
    return timings


def row(name: str, n_candidates: int, length: int, scorer: str, timings: Timings) -> str:
    p50, p95, p99 = np.percentile(timings.seconds, (50, 95, 99)) * 1e3
    times = f"{p50:.2f} | {p95:.2f} | {p99:.2f} | {len(timings.seconds)}"
    difference = f"{max(timings.differences):.0e}"
    return f"| {name} | {n_candidates} | {length} | {scorer} | {times} | {difference} |"
