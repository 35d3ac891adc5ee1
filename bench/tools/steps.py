"""Time and memory of a few training steps and of inference, by hooks of models.training.fit.

The fit is the real one on all its rows, but each epoch ends after a few steps. The first epoch
warms up; of the others the fastest counts. Memory is the peak of the process (Linux).
"""

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from features.errors import InputError
from models.batches.rows import Rows
from models.network import Network
from models.settings import FitSettings
from models.training.fit import fit
from pipeline.artifacts import provenance

EPOCHS = 3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}  # cpu: the sum over all threads


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMeasurement:
    """Time and memory of training steps; MiB are resident host memory, except `device_mib`."""

    step_seconds: float
    train_rows_per_second: float
    inference_rows_per_second: float
    before_mib: int  # at the start of the fit: libraries, rows and network
    peak_mib: int
    device_mib: int | None  # peak memory of tensors on a GPU
    weights_mib: float


class FitTimer:
    """Hooks of a fit that end each epoch early and time its steps and its inference."""

    def __init__(self, device: torch.device, n_steps: int, clock: str) -> None:
        self.device, self.n_steps, self.clock = device, n_steps, CLOCKS[clock]
        self.step_seconds = self.train_row_seconds = self.held_row_seconds = math.inf  # the fastest
        self.epoch, self.training_ended = 0, 0.0
        self.rates: list[float] = []  # rows/s of training, of each epoch but the first

    def batches(self, batches: Iterable[Tensor], _: str) -> Iterator[Tensor]:
        """The first `n_steps` of `batches`."""
        chosen = list(itertools.islice(batches, self.n_steps))
        started, rows = self.now(), sum(map(len, chosen))
        yield from chosen
        self.training_ended = self.now()
        if self.epoch:
            seconds = self.training_ended - started
            self.step_seconds = min(self.step_seconds, seconds / len(chosen))
            self.train_row_seconds = min(self.train_row_seconds, seconds / rows)
            self.rates.append(rows / seconds)

    def score(self, label: Tensor, _: Tensor) -> float:
        """A score that rises, so that the fit keeps every epoch's weights, as if it learned."""
        if self.epoch:
            seconds = self.now() - self.training_ended
            self.held_row_seconds = min(self.held_row_seconds, seconds / len(label))
        self.epoch += 1
        return float(self.epoch)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()


def measure(
    network: Network,
    train: Rows,
    label: Tensor,
    held: Rows,
    held_label: Tensor,
    cfg: FitSettings,
    n_steps: int,
    clock: str = "wall",
) -> StepMeasurement:
    """Fit `network` for EPOCHS epochs of `n_steps` steps, scoring all of `held` after each epoch.

    Shapes: label (N,) and held_label (M,) float32, on the device of rows and network. Raises
    InputError if the device has too little memory or the loss is not finite.
    """
    timer, before = FitTimer(label.device, n_steps, clock), resident_mib()
    try:
        fit(
            network, train, label, held, held_label, dataclasses.replace(cfg, max_epochs=EPOCHS),
            seed=0, score=timer.score, progress=timer.batches,
        )  # fmt: skip
    except (torch.OutOfMemoryError, FloatingPointError) as error:
        raise InputError(f"the training steps failed: {error}") from None
    on_gpu = label.device.type == "cuda"
    return StepMeasurement(
        step_seconds=timer.step_seconds,
        train_rows_per_second=1 / timer.train_row_seconds,
        inference_rows_per_second=1 / timer.held_row_seconds,
        before_mib=before,
        peak_mib=provenance.peak_mib(),
        device_mib=torch.cuda.max_memory_allocated(label.device) >> 20 if on_gpu else None,
        weights_mib=sum(p.numel() * p.element_size() for p in network.parameters()) / 2**20,
    )


def resident_mib() -> int:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
