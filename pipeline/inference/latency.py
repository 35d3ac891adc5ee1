"""How long one request takes on one CPU thread: one user and N candidates, nothing batched.

Each request is scored by the network as it was trained (eager), by the folded one in torch
(models.serving.network) and by the exported one in ONNX Runtime (pipeline.inference.export), in
turns, so that
whatever else the machine does disturbs all of them alike. What is timed begins with a Request and
ends with its logits.
"""

import itertools
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build, near
from pipeline.inference import export, score_rows
from pipeline.inference.score_rows import ScoreArgs

PUBLISHED = ("qin", "din", "final", "transformer_dcn")
ITEMS, TAGS, CONTENT = 91_718, 11_740, 128  # rows of MicroLens-1M's tables, padding included
CANDIDATES = (1, 100, 1000)
REQUESTS, SECONDS = 300, 60  # timed for a row, unless that many seconds have passed before
TIMED = 5  # requests of a turn
COMPARED = 2  # requests whose scores are compared, before any is timed
HEAD = "| network | candidates | history | by | p50 ms | p95 ms | p99 ms | requests | difference |"

Score = Callable[[Request], Tensor]


def run(job: ScoreArgs) -> None:
    """Print the table: of the job's checkpoint, or of networks with random weights."""
    if job.checkpoint is not None:
        networks = [(str(job.checkpoint), lambda: score_rows.network_alone(job))]
        print("90_score one CPU thread, random requests", flush=True)
    else:
        unknown = [name for name in job.latency if name not in PUBLISHED]
        if unknown:
            known = f"there are {', '.join(PUBLISHED)}{near(unknown[0], list(PUBLISHED))}"
            raise InputError(f"--latency {unknown[0]}: {known}")
        networks = [(name, partial(generated, name)) for name in job.latency or PUBLISHED]
        said = f"random weights, {ITEMS} items, content of {CONTENT} numbers"
        print(f"90_score one CPU thread, random requests, {said}", flush=True)
    print(HEAD, "|" + " --- |" * HEAD.count(" |"), sep="\n", flush=True)
    for name, made in networks:
        report(name, *made(), job.history)


def generated(name: str) -> tuple[Network, NetworkSettings]:
    """The network of models/<name>.toml on a random item table of published size."""
    problems: list[str] = []
    raw = tomllib.loads((REPOSITORY / "models" / f"{name}.toml").read_text())
    s = build(NetworkSettings, raw, "", problems)
    g = torch.Generator().manual_seed(0)
    items = ItemTable(
        tags=torch.randint(1, TAGS, (ITEMS, 5), generator=g),
        content=torch.randn(ITEMS, CONTENT, generator=g) / CONTENT**0.5,
        n_tags=TAGS,
    )
    return scatter(Network(s, items), g), s


@torch.no_grad()
def scatter(network: Network, g: torch.Generator) -> Network:
    """Random weights of a trained network's order of magnitude: initial ones say 0.5 to all."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            spread = value.shape[-1] ** -0.5 if value.ndim > 1 else 0.1
            drawn = torch.randn(value.shape, generator=g) * spread
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.weight[0] = 0
    return network


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each timed request; the largest difference of a probability from the network's."""

    seconds: list[float] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)


def report(name: str, network: Network, s: NetworkSettings, length: int | None) -> None:
    """Print a network's rows of the table; histories of `length` items, None: max_len."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        folded = export.serving_form(network, s.max_len)
        export.write(folded, Path(folder))
        exported = export.Exported(Path(folder))
        n_items, n_users = exported.card.items, exported.card.users
        ways: dict[str, Score] = {
            "network": lambda request: export.plain(network, request, n_items, s.max_len),
            "folded": folded.score,
            "exported": exported.score,
        }
        if has_bf16(torch.device("cpu")):
            ways["folded, bf16"] = export.serving_form(network, s.max_len, rounded=True).score
        rng, length = np.random.default_rng(0), s.max_len if length is None else length
        for n in CANDIDATES:
            draw = partial(export.draw, rng, n_items, n_users, n, length)
            for way, taken in measure(ways, iter(draw, None)).items():
                print(row(name, n, length, way, taken), flush=True)


def measure(ways: dict[str, Score], requests: Iterator[Request]) -> dict[str, Timings]:
    """Time up to REQUESTS by each way, the ways taking turns; a turn's first request is not timed.

    So the caches hold what the way reads, as they do where nothing else is served.
    """
    taken = {way: Timings() for way in ways}
    for request in itertools.islice(requests, COMPARED):
        scores = {way: score(request).sigmoid() for way, score in ways.items()}
        wanted = next(iter(scores.values()))
        for way, found in scores.items():
            taken[way].difference.append(float((found - wanted).abs().max()))
    end = time.perf_counter() + SECONDS
    for turn in range(REQUESTS // TIMED):
        if turn and time.perf_counter() > end:
            break
        first, *timed = itertools.islice(requests, 1 + TIMED)
        for way, score in ways.items():
            score(first)
            for request in timed:
                started = time.perf_counter()
                score(request)
                taken[way].seconds.append(time.perf_counter() - started)
    return taken


def row(name: str, n_candidates: int, length: int, way: str, taken: Timings) -> str:
    p50, p95, p99 = np.percentile(taken.seconds, (50, 95, 99)) * 1e3
    times = f"{p50:.2f} | {p95:.2f} | {p99:.2f} | {len(taken.seconds)}"
    return f"| {name} | {n_candidates} | {length} | {way} | {times} | {max(taken.difference):.0e} |"


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
