"""Several fits on one card at the same time: the rows per second of all, beside one fit alone.

A step of a small network keeps the host busy longer than the device. Processes that share the card
fill the gaps: train.workers=2 makes 50_train do so.
"""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import BrokenBarrierError

import torch

from bench.gpu.scale import NETWORKS, Scale
from bench.gpu.speed.epochs import WARM, run_steps
from bench.tools.subprocess_call import call_in_subprocess
from models.training.determinism import make_deterministic

FITS = (1, 2, 4)
PATIENCE = 60  # seconds that a process waits for the others


def together(scale: Scale) -> Iterator[dict]:
    """A row for each network and number of fits."""
    n = 2 if scale.toy else max(FITS)
    barrier = multiprocessing.get_context("spawn").Barrier(n)
    with ThreadPoolExecutor(n) as pool:
        calls = [
            pool.submit(call_in_subprocess, f"fit {k}", rates, scale, k, n, barrier)
            for k in range(n)
        ]
        found = [call.result() for call in calls]
    for name in NETWORKS:
        alone = found[0][name, 1]
        for fits in (f for f in FITS if f <= n):
            rate = sum(of_process.get((name, fits), 0.0) for of_process in found)
            yield {
                "network": name,
                "fits at a time": fits,
                "train rows/s of all": round(rate),
                "factor": round(rate / alone, 2),
            }


def rates(scale: Scale, k: int, n: int, barrier) -> dict[tuple[str, int], float]:
    """Rows per second of process k of n, by network and number of fits at a time."""
    if scale.toy:
        torch.set_num_threads(1)
    make_deterministic(scale.torch_device)
    found = {}
    n_rows = min(scale.rows, scale.steps * scale.batch)
    for name in NETWORKS:
        cfg = scale.settings(name, precision="auto")
        rows, label = scale.draw(cfg.max_len, n_rows)
        network = scale.network(cfg)
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        run_steps(network, rows, label, adam, cfg.fit, WARM)
        for fits in (f for f in FITS if f <= n):
            scale.wait()
            try:
                barrier.wait(PATIENCE)
            except BrokenBarrierError:
                raise RuntimeError("another process of this part has ended") from None
            if k < fits:
                started = time.perf_counter()
                for _ in range(3):
                    run_steps(network, rows, label, adam, cfg.fit)
                scale.wait()
                found[name, fits] = 3 * n_rows / (time.perf_counter() - started)
    return found
