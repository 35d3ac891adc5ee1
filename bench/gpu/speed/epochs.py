"""Training and prediction at published settings, and the published way of working beside them.

An epoch is the one of models.training.fit: a new order of the rows, their batches, all steps. WARM
steps come before it and are not timed. Labels are noise, so that nothing is learned here.
"""

import functools
import itertools
import statistics
import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from bench.gpu.scale import NETWORKS, Scale
from bench.tools import padded
from bench.tools.padded import PaddedNetwork
from models.batches.feed import batches_on_device
from models.batches.rows import Rows
from models.network import Network
from models.settings import FitSettings
from models.training.determinism import make_deterministic
from models.training.fit import predict, train_epoch

WARM = 10  # steps before a timing
DATALOADER_WORKERS = 8


def epochs(scale: Scale) -> Iterator[dict]:
    """One row for each network and precision."""
    make_deterministic(scale.torch_device)
    rows, label = scale.draw(scale.settings(NETWORKS[0]).max_len)
    for precision, name in itertools.product(scale.precisions, NETWORKS):
        cfg = scale.settings(name, precision=precision)
        rows = rows.cut(cfg.max_len)
        network = scale.network(cfg)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        run_steps(network, rows, label, optimiser, cfg.fit, WARM)
        scale.reset_peak()
        started = time.perf_counter()
        loss = run_steps(network, rows, label, optimiser, cfg.fit)
        scale.wait()
        seconds, peak = time.perf_counter() - started, scale.peak_mib()
        yield {
            "network": name,
            "precision": precision,
            "epoch, s": seconds,
            "train rows/s": round(len(rows) / seconds),
            "predict rows/s": round(prediction_rate(scale, network, rows)),
            "device MiB": peak,
            "loss": loss,
        }


def run_steps(
    network: Network,
    rows: Rows,
    label: Tensor,
    optimiser: torch.optim.Optimizer,
    cfg: FitSettings,
    n: int | None = None,
    around=lambda batches: batches,
) -> float:
    """The first `n` steps of an epoch, or all; the mean loss."""
    plan = rows.plan(cfg.batch_size, torch.Generator().manual_seed(0))[:n]
    batches = batches_on_device(rows, label, plan, rows.device)
    return train_epoch(network, iter(around(batches)), optimiser, cfg)


def prediction_rate(scale: Scale, network: Network, rows: Rows) -> float:
    """Rows per second of predict(), on as many rows as valid and test have."""
    rows = rows.take(torch.arange(min(scale.held_rows, len(rows)), device=rows.device))
    predict(network, rows)
    return len(rows) / scale.seconds(lambda: predict(network, rows))


def padded_loop(scale: Scale) -> Iterator[dict]:
    """bench.tools.padded in float32: with batches on the device, and with its DataLoader."""
    for name in NETWORKS:
        yield from padded_steps(scale, name)


def padded_steps(scale: Scale, name: str) -> Iterator[dict]:
    """The rows of one network, which is gone before the memory of the next one counts."""
    cfg = scale.settings(name, precision="float32")
    workers = DATALOADER_WORKERS if scale.on_gpu else 0
    ahead = 1 + 2 * workers  # batches that a DataLoader has made before it gives its second one
    rows, label = scale.draw(cfg.max_len, scale.batch * (ahead + scale.steps))
    scale.reset_peak()
    network = PaddedNetwork(scale.network(cfg)).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=False)

    def step(batch: tuple[Tensor, ...]) -> None:
        padded.train_step(network, batch, optimiser, cfg.fit)

    dataset = padded.PaddedRows(rows, label)
    order = torch.randperm(len(dataset)).split(scale.batch)[:3]
    loaded = [to_device(padded.collate([dataset[i] for i in index]), scale) for index in order]
    step_seconds = median_seconds(scale, step, itertools.cycle(loaded))
    yield described(name, "batches on the device", scale, scale.batch, step_seconds)
    loader = iter(padded.loader(rows, label, scale.batch, shuffle=True, workers=workers))

    def steps(n: int) -> None:
        for batch in itertools.islice(loader, n):
            step(to_device(batch, scale))

    steps(ahead)  # an epoch of all rows hides the start of its processes
    seconds = scale.seconds(lambda: steps(scale.steps))
    n_rows = scale.batch * scale.steps
    yield described(name, f"DataLoader, {workers} processes", scale, n_rows, seconds)


def described(name: str, form: str, scale: Scale, n_rows: int, seconds: float) -> dict:
    """The row of a form that takes `seconds` for `n_rows` rows."""
    return {
        "network": name,
        "padded, float32": form,
        "epoch, s": seconds * scale.rows / n_rows,
        "train rows/s": round(n_rows / seconds),
        "device MiB": scale.peak_mib(),
    }


def to_device(batch: tuple[Tensor, ...], scale: Scale) -> tuple[Tensor, ...]:
    return tuple(column.to(scale.torch_device) for column in batch)


def median_seconds(scale: Scale, step, batches: Iterable) -> float:
    """Median seconds of `step(batch)` over `scale.steps` batches, after three that warm up."""
    used = itertools.islice(batches, 3 + scale.steps)
    seconds = [scale.seconds(functools.partial(step, batch)) for batch in used]
    return statistics.median(seconds[3:])
