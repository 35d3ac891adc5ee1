"""Time and memory of a few training steps and of inference, seen through the hooks of
models.training.fit.

The fit is the real one, on all its rows; only its epochs end after some steps. The first epoch
warms up, the fastest of the others counts. Memory is the peak of the process (Linux).
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
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}  # cpu: of all threads together


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What steps took; MiB are resident memory of the host, but for `device_mib`."""

    step_seconds: float
    train_rows_per_second: float
    inference_rows_per_second: float
    before_mib: int  # when the fit began: libraries, rows and network
    peak_mib: int
    device_mib: int | None  # peak of what tensors take on a GPU
    weights_mib: float


class Watch:
    """The hooks of a fit: ends epochs early, and looks at the clock."""

    def __init__(self, device: torch.device, n_steps: int, clock: str) -> None:
        self.device, self.n_steps, self.clock = device, n_steps, CLOCKS[clock]
        self.step = self.training = self.inference = math.inf  # seconds: a step, a row, a held row
        self.epoch, self.ended = 0, 0.0

    def batches(self, batches: Iterable[Tensor], _: str) -> Iterator[Tensor]:
        """The first `n_steps` of `batches`."""
        chosen = list(itertools.islice(batches, self.n_steps))
        started, rows = self.now(), sum(map(len, chosen))
        yield from chosen
        self.ended = self.now()
        if self.epoch:
            self.step = min(self.step, (self.ended - started) / len(chosen))
            self.training = min(self.training, (self.ended - started) / rows)

    def score(self, label: Tensor, _: Tensor) -> float:
        """A figure that rises, so that every epoch's weights are kept, as in a fit that learns."""
        if self.epoch:
            self.inference = min(self.inference, (self.now() - self.ended) / len(label))
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
    s: FitSettings,
    n_steps: int,
    clock: str = "wall",
) -> Measured:
    """Fit `network` for EPOCHS times `n_steps` steps, scoring all of `held` after each epoch.

    Shapes: label (N,) and held_label (M,) float32, on the device of rows and network. Raises
    InputError where the device has too little memory, or the loss is not finite.
    """
    watch, before = Watch(label.device, n_steps, clock), resident_mib()
    try:
        fit(
            network, train, label, held, held_label, dataclasses.replace(s, max_epochs=EPOCHS),
            seed=0, score=watch.score, progress=watch.batches,
        )  # fmt: skip
    except (torch.OutOfMemoryError, FloatingPointError) as error:
        raise InputError(f"the steps to be measured failed: {error}") from None
    on_gpu = label.device.type == "cuda"
    return Measured(
        step_seconds=watch.step,
        train_rows_per_second=1 / watch.training,
        inference_rows_per_second=1 / watch.inference,
        before_mib=before,
        peak_mib=provenance.peak_mib(),
        device_mib=torch.cuda.max_memory_allocated(label.device) >> 20 if on_gpu else None,
        weights_mib=sum(p.numel() * p.element_size() for p in network.parameters()) / 2**20,
    )


def resident_mib() -> int:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
