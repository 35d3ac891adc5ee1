"""How long a single request takes on the card: one user with a full history, and N candidates.

fused    the network for serving (models.serving.network), all candidates at once
network  the network as trained, one row per candidate
CPU      the network for serving on one thread, as in `python -m pipeline.90_score --latency`

Timed is the way from a request in the host's memory to its logits there. Exported networks are not
timed here: they run in ONNX Runtime on the CPU.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor, nn

from bench.gpu.scale import NETWORKS, Scale
from models.network import N_LEVELS, Network
from models.serving.network import ServingNetwork
from models.serving.request import Request
from pipeline.runtime.compute import one_thread

CANDIDATES = (1, 10, 100, 1000, 8192)
TOY_CANDIDATES = (1, 300)
CPU_CANDIDATES = 1000  # the CPU is asked for no more: DIN takes seconds for all
WARM_UP, REQUESTS, LEAST = 5, 300, 2  # requests that are not timed; timed at most, at least
SECONDS = 0.4  # after which no further request warms up, or is timed
TOLERANCE = 1e-4  # of a probability, from that of the network as trained: all float32

Score = Callable[[Request], Tensor]


def serving(scale: Scale) -> Iterator[dict]:
    """A row for each network and number of candidates, times in ms.

    p99 is None where fewer than 100 requests were timed. On a CPU, the columns of the card are of
    the CPU, too.
    """
    for name in NETWORKS:
        cfg = scale.settings(name)
        network = spread(scale.network(cfg)).eval()
        on_cpu = ServingNetwork(network, cfg.max_len)
        on_card = ServingNetwork(network, cfg.max_len).to(scale.device)
        scorers: dict[str, Score] = {
            "fused": lambda request, fused=on_card: fused_scores(fused, request, scale),
            "network": lambda request, network=network, cfg=cfg: network_scores(
                network, request, scale, cfg.max_len
            ),
            "CPU": on_cpu.score,
        }
        rng = np.random.default_rng(0)
        for n in TOY_CANDIDATES if scale.toy else CANDIDATES:
            yield {"network": name, "candidates": n, "history": cfg.max_len} | measure(
                scorers, [draw(rng, scale.items, n, cfg.max_len) for _ in range(10)], scale
            )


@torch.no_grad()
def spread(network: Network) -> Network:
    """The network with embeddings as large as trained ones; initial ones hardly reach a score."""
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.weight[1:].normal_(std=module.embedding_dim**-0.5)
    return network


def draw(rng: np.random.Generator, n_items: int, n_candidates: int, length: int) -> Request:
    """A random request in the host's memory."""
    sizes = (n_items, length), (n_items, n_candidates), *[(N_LEVELS, n_candidates)] * 2
    return Request(*(torch.from_numpy(rng.integers(1, high, size)) for high, size in sizes))


def on_device(request: Request, scale: Scale) -> Request:
    """The same request on the device of `scale`."""
    tensors = {f.name: getattr(request, f.name) for f in fields(request) if f.name != "user"}
    return replace(request, **{name: t.to(scale.device) for name, t in tensors.items()})


@torch.inference_mode()
def fused_scores(network: ServingNetwork, request: Request, scale: Scale) -> Tensor:
    """Logits (N,) float32 on the host."""
    there = on_device(request, scale)
    return network(there.history, there.candidates, there.likes, there.views).cpu()


@torch.inference_mode()
def network_scores(network: Network, request: Request, scale: Scale, max_len: int) -> Tensor:
    """Logits (N,) float32 on the host."""
    rows = request.rows(scale.items, max_len).to(scale.device)
    return network(rows.batch(torch.arange(len(rows), device=rows.device))).cpu()


def measure(scorers: dict[str, Score], requests: list[Request], scale: Scale) -> dict:
    """The figures of one row; `requests` are sent again and again."""
    figures, scored = {}, {}
    for name, score in scorers.items():
        if name == "CPU" and len(requests[0].candidates) > CPU_CANDIDATES:
            figures |= dict.fromkeys((f"{name}, median", f"{name}, p99", f"{name}, requests"))
            continue
        with one_thread() if name == "CPU" else nullcontext():
            logits, seconds = time_requests(score, requests, 0.05 if scale.toy else SECONDS)
        scored[name] = logits.sigmoid()
        figures[f"{name}, median"] = 1e3 * float(np.median(seconds))
        p99 = 1e3 * float(np.percentile(seconds, 99)) if len(seconds) >= 100 else None
        figures[f"{name}, p99"] = p99
        figures[f"{name}, requests"] = len(seconds)
    expected = scored["network"]
    difference = float(torch.stack([(one - expected).abs() for one in scored.values()]).max())
    return figures | {"difference": difference, "ok": difference <= TOLERANCE}


def time_requests(
    score: Score, requests: list[Request], limit: float
) -> tuple[Tensor, list[float]]:
    """The logits of the first request, and the seconds of many, in turn, for about `limit` seconds.

    Warming up takes as long at most.
    """
    (first, spent), seconds = timed(score, requests[0]), []
    for request in requests[1:WARM_UP]:
        if spent > limit:
            break
        spent += timed(score, request)[1]
    while len(seconds) < LEAST or (len(seconds) < REQUESTS and sum(seconds) < limit):
        seconds.append(timed(score, requests[len(seconds) % len(requests)])[1])
    return first, seconds


def timed(score: Score, request: Request) -> tuple[Tensor, float]:
    """The logits of a request, and the seconds that they took."""
    started = time.perf_counter()
    logits = score(request)
    return logits, time.perf_counter() - started
