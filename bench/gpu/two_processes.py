"""One fit in one process and over two, each with a card of its own; on a CPU, both on it.

Dropout is off, because each process draws its own. Then the steps are the same except for the order
in which floats are added (models.training.distributed); training magnifies that, so that single
logits drift apart while the AUC stays.
"""

import os
import socket
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.multiprocessing import start_processes

from bench.gpu.fits import fit_within, generated
from bench.gpu.scale import Scale, without_dropout
from models.network import Network
from models.training import distributed
from models.training.determinism import make_deterministic
from pipeline.runtime.devices import gpus

EPOCHS = 3  # the first one warms up
SIZES = (1, 2)
ROWS = 1_000_000  # at most, to train
TOLERANCE = 0.005  # of the AUC after EPOCHS epochs


def torchrun(scale: Scale) -> Iterator[dict]:
    """A row for one process and one for two; a single one, which says so, where there is one card.

    `AUC` is that of the held rows after EPOCHS epochs; the differences are to one process.
    """
    if scale.on_gpu and torch.cuda.device_count() < max(SIZES):
        yield {"processes": "one card: not measured"}
        return
    alone: dict = {}
    for size in SIZES:
        found = in_processes(size, scale)
        alone = alone or found
        apart = (found["logits"] - alone["logits"]).abs()
        seconds = statistics.median(found["seconds"][1:])
        yield {
            "processes": size,
            "train rows": found["rows"],
            "seconds an epoch": seconds,
            "factor": statistics.median(alone["seconds"][1:]) / seconds,
            "AUC": found["auc"],
            "AUC difference": found["auc"] - alone["auc"],
            "logits, median difference": float(apart.median()),
            "logits, largest difference": float(apart.max()),
            "ok": abs(found["auc"] - alone["auc"]) <= TOLERANCE,
        }


def in_processes(size: int, scale: Scale) -> dict:
    """The fit over `size` new processes: seconds of each epoch, AUC, and logits (M,) on the CPU.

    Raises torch.multiprocessing.ProcessRaisedException, with the traceback of the first that fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fit.pt"
        arguments = (scale, size, free_port(), gpus(scale.device), file)
        method = "spawn" if scale.on_gpu else "fork"  # CUDA takes no fork; without it, it is faster
        start_processes(_work, arguments, size, start_method=method)
        return torch.load(file, weights_only=True)


def _work(rank: int, scale: Scale, size: int, port: int, cards: list[str], file: Path) -> None:
    """One process of the fit; the first one writes `file`."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if cards:
        os.environ["CUDA_VISIBLE_DEVICES"] = cards[rank]  # before this process initialises CUDA
    else:
        torch.set_num_threads(1)
    if size > 1:
        distributed.init_process_group("nccl" if cards else "gloo")
    try:
        found = train(scale)
        if rank == 0:
            torch.save(found, file)
    finally:
        distributed.destroy_process_group()


def train(scale: Scale) -> dict:
    """The fit, in every process; see `in_processes`."""
    make_deterministic(scale.torch_device)
    cfg = without_dropout(scale.settings("qin", precision="float32", max_epochs=EPOCHS))
    data = generated(scale, min(scale.rows, ROWS), scale.held_rows)
    torch.manual_seed(0)
    network = Network(cfg, data.items).to(scale.device)
    report, _ = fit_within(float("inf"), cfg, network, data, seed=0)
    return {
        "rows": len(data.train.rows),
        "seconds": [record["seconds"] for record in report.epochs],
        "auc": report.epochs[-1]["score"],
        "logits": report.held_logits.cpu(),
    }


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
