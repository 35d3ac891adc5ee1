"""How large the measurements of a GPU are: the challenge's size, or toy sizes for a CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.tools import challenge_like
from bench.tools.networks import network_settings
from models.batches.rows import Rows
from models.items import ItemTable
from models.network import Network
from models.settings import NetworkSettings

NETWORKS = ("qin", "din", "final")
PUBLISHED = {"qin": {"qnn": {"bank": "full"}}}  # where models/<network>.toml departs
TOY = {
    "embedding_dim": 8,
    "content_dim": 8,
    "max_len": 16,
    "qnn": {"layers": 2, "rows": 2},
    "din": {"hidden": [16, 8]},
    "mlp": {"hidden": [16, 8]},
    "final": {"block1": [16], "block2": [16]},
    "transformer": {"layers": 1, "feedforward": 16, "last": 4},
    "cross": {"layers": 1, "deep": [16], "hidden": [8]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of a run of bench.gpu.

    device       cpu or cuda
    rows         train rows, as many as the challenge has
    held_rows    rows that judge a fit
    items        rows of the item table
    batch        rows of a training step
    seeds        of the fits that are compared with each other
    fit_seconds  that one fit to convergence may take
    steps        training steps of a timing
    store        a store that 10_prepare wrote, and folds of 20_folds, for scores on real data
    wheels       folder of packages that this machine lacks
    """

    device: str = "cuda"
    rows: int = 3_600_000
    held_rows: int = 360_000
    items: int = challenge_like.N_ITEMS
    batch: int = 8192
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    fit_seconds: float = 25.0
    steps: int = 20
    store: Path | None = None
    folds: Path | None = None
    wheels: Path | None = None
    toy: bool = False

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def on_gpu(self) -> bool:
        return self.torch_device.type == "cuda"

    @property
    def precisions(self) -> tuple[str, ...]:
        """What is timed: TF32 is a GPU's, and few CPUs multiply bfloat16."""
        return ("float32", "tf32", "bf16") if self.on_gpu else ("float32",)

    def settings(self, network: str, **fit: object) -> NetworkSettings:
        """The published settings of `network`, small ones for a toy; `fit` overrides its fit."""
        toy = (TOY,) if self.toy else ()
        cfg = network_settings(network, PUBLISHED.get(network, {}), *toy)
        return replace(cfg, fit=replace(cfg.fit, **({"batch_size": self.batch} | fit)))

    def network(self, cfg: NetworkSettings, items: ItemTable | None = None) -> Network:
        """A network of `cfg` on the device, over `items` or generated ones; its weights are those
        of seed 0."""
        torch.manual_seed(0)
        return Network(cfg, items or challenge_like.items(self.items)).to(self.torch_device)

    def draw(
        self, max_len: int, n_rows: int | None = None, seed: int = 0
    ) -> tuple[Rows, torch.Tensor]:
        """Generated rows and labels (N,) float32 on the device; the labels are noise."""
        rows, label = challenge_like.rows(n_rows or self.rows, max_len, self.items, seed=seed)
        return rows.to(self.torch_device), label.to(self.torch_device)

    def wait(self) -> None:
        """Return when the device has done all that was asked of it."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def reset_peak(self) -> None:
        """Let `peak_mib` begin again."""
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()

    def peak_mib(self) -> int | None:
        """The most device memory that tensors took since `reset_peak`; None on a CPU."""
        return torch.cuda.max_memory_allocated() >> 20 if self.on_gpu else None

    def seconds(self, call: Callable[[], object]) -> float:
        """How long `call()` takes, the device's work included."""
        self.wait()
        started = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - started


def without_dropout(cfg: NetworkSettings) -> NetworkSettings:
    """`cfg` without its random part, which differs between devices and between processes."""
    parts = ("din", "asta", "qnn", "mlp", "final", "transformer", "cross")
    return replace(cfg, **{part: replace(getattr(cfg, part), dropout=0.0) for part in parts})


TOY_SCALE = Scale(
    device="cpu", rows=512, held_rows=128, items=300, batch=64, seeds=(0,), fit_seconds=2.0,
    steps=3, toy=True,
)  # fmt: skip
