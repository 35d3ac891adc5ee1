"""How many fits this machine runs at a time, one per GPU or core, and which process has which GPU.

A process gets its GPU through CUDA_VISIBLE_DEVICES, as its only one, and so calls it `cuda`.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from features.errors import InputError
from models.layers.precision import resolve_precision
from pipeline.artifacts.locks import file_lock, try_acquire
from pipeline.config.settings import Settings, TrainSettings

PATIENCE = 60  # seconds in which a killed process must have freed its GPU
HELD: list[FileLock] = []  # the lock on the GPU of this process, for as long as it lives


def pick_device(wanted: str, setting: str = "train.device") -> torch.device:
    """The device that a setting's value asks for.

    Raises InputError where it does not exist, or rounds what we compute in float32.
    """
    if HELD and wanted != "cpu":  # this process has been given a GPU
        wanted = "cuda"
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and os.environ.get("NVIDIA_TF32_OVERRIDE") == "1":
        raise InputError(
            "NVIDIA_TF32_OVERRIDE=1 rounds all float32 products on a GPU to TF32, those of"
            " predictions too, and no program can change that; unset it, and for training take"
            " network.fit.precision=tf32"
        )
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise InputError(
            f"{setting} = {wanted!r}, but torch sees {n_gpus} CUDA devices here; take"
            f" {setting}=auto or cpu, or install the build of torch for this GPU"
        )
    return device


def pick_precision(s: Settings, model: str, device: torch.device) -> str:
    """What the network's fit.precision means on `device`. Raises InputError where it has none."""
    try:
        return resolve_precision(s.networks[model].fit.precision, device)
    except ValueError as error:
        raise InputError(f"{model}.{error}") from None


def device_slots(train_cfg: TrainSettings, n: int) -> list[str]:
    """The GPU's name, or "" for a core, of each of up to `n` fits that can run at a time."""
    if train_cfg.backend == "serial":
        return [""]
    names = gpus(train_cfg.device) or [""]
    cores = max((os.cpu_count() or 1) // train_cfg.threads, 1)
    at_once = train_cfg.workers or (len(names) if any(names) else cores)
    return [names[i % len(names)] for i in range(min(n, at_once))]


def gpus(device: str) -> list[str]:
    """Names of the GPUs that train.device means, as in CUDA_VISIBLE_DEVICES; [] for a CPU.

    It counts them without initialising CUDA, so that processes can still be given theirs.
    """
    if device == "cpu":
        return []
    n = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",")[:n] if visible else [str(i) for i in range(n)]
    _, _, index = device.partition(":")
    return [names[int(index)]] if index else names


def on_gpu(slots: Sequence[str], locks: Path, work: Callable[..., Any], *arguments: Any) -> Any:
    """`work(*arguments)` in a process that has one GPU of `slots`, the same for all its tasks."""
    if not HELD:
        take(slots, locks)
    return work(*arguments)


def take(slots: Sequence[str], locks: Path) -> None:
    """Make the first free GPU of `slots` the only one of this process, for as long as it lives.

    Processes agree by locks in the folder `locks`, which the kernel frees when a process ends.
    """
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        for i, gpu in enumerate(slots):
            lock = file_lock(locks / str(i))
            if try_acquire(lock):
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                HELD.append(lock)
                return
        time.sleep(0.1)
    raise InputError(f"none of the GPUs {', '.join(slots)} came free in {PATIENCE} s")
