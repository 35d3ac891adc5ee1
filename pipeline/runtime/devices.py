"""Which fits this machine takes at a time: one a GPU, or one a core; and who has which GPU.

A process is handed its GPU through CUDA_VISIBLE_DEVICES, as its only one, which it knows as `cuda`.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from features.errors import InputError
from pipeline.artifacts.locks import file_lock, try_acquire
from pipeline.config.settings import TrainSettings

PATIENCE = 60  # seconds until a process that was killed must have let go of its GPU
HELD: list[FileLock] = []  # the lock on the GPU of this process, for as long as it lives


def pick_device(wanted: str, word: str = "train.device") -> torch.device:
    """The device that `word` asks for. Raises InputError where there is none."""
    if HELD and wanted != "cpu":  # this process was handed a GPU, as its only one
        wanted = "cuda"
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise InputError(f"{word} = {wanted!r}, but torch sees {n_gpus} CUDA devices here")
    return device


def device_slots(how: TrainSettings, n: int) -> list[str]:
    """For each of `n` fits that this machine takes at a time: its GPU's name, or "" for a core."""
    if how.backend == "serial":
        return [""]
    found = gpus(how.device) or [""]
    cores = max((os.cpu_count() or 1) // how.threads, 1)
    at_once = how.workers or (len(found) if any(found) else cores)
    return [found[i % len(found)] for i in range(min(n, at_once))]


def gpus(device: str) -> list[str]:
    """The GPUs that `device` (train.device) means, as CUDA_VISIBLE_DEVICES has them; [] for a CPU.

    Asks the driver and touches none, so that processes can still be given theirs.
    """
    if device == "cpu":
        return []
    n = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = given.split(",")[:n] if given else [str(i) for i in range(n)]
    _, _, index = device.partition(":")
    return [names[int(index)]] if index else names


def on_gpu(
    device_slots: Sequence[str], locks: Path, work: Callable[..., Any], *arguments: Any
) -> Any:
    """`work(*arguments)` in a process that sees one of `slots`, the same one in all its tasks."""
    if not HELD:
        take(device_slots, locks)
    return work(*arguments)


def take(device_slots: Sequence[str], locks: Path) -> None:
    """Make the first of `slots` that no living process has the only GPU of this process.

    The kernel frees the lock with the process, however that ends.
    """
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        for i, gpu in enumerate(device_slots):
            lock = file_lock(locks / str(i))
            if try_acquire(lock):
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                HELD.append(lock)
                return
        time.sleep(0.1)
    raise InputError(f"none of the GPUs {', '.join(device_slots)} came free in {PATIENCE} s")
