"""What makes a training step faster, each beside the published arithmetic in float32.

    variants    the precision of products, the collapsed bank, batches of 32,768 rows, Adam and
                clipping parameter by parameter, algorithms whose sums have no fixed order
    compiled    the interaction part through torch.compile
    triton      QIN's attention in one kernel (bench.gpu.speed.triton_attention)

All start from the same weights and take the same steps on the same batches. The loss is the mean
over the timed steps; its difference to float32 says whether the arithmetic is the same. Dropout
draws other numbers in a compiled module, and nothing else differs there.
"""

import copy
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.gpu.scale import NETWORKS, Scale
from models.batches.batch import Batch
from models.network import Network
from models.settings import NetworkSettings
from models.training.determinism import make_deterministic
from models.training.fit import train_epoch

Pairs = list[tuple[Batch, Tensor]]
LARGE = 4  # times the published batch
ROUNDS = 2


class Steps:
    """Times the steps of one network in one form after another; the first form is the base."""

    def __init__(self, scale: Scale, name: str) -> None:
        self.scale, self.name = scale, name
        self.cfg = scale.settings(name, precision="float32")
        self.network, self.pairs = scale.network(self.cfg), batches(scale, self.cfg)
        self.base: tuple[float, float] | None = None

    def row(
        self,
        variant: str,
        precision: str = "float32",
        network: Network | None = None,
        pairs: Pairs | None = None,
        **options: object,
    ) -> dict:
        """The row of one variant; `options` are Adam's."""
        network = copy.deepcopy(self.network) if network is None else network
        pairs, cfg = pairs or self.pairs, replace(self.cfg.fit, precision=precision)
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, **({"fused": True} | options))
        torch.manual_seed(0)
        seconds, loss, peak = self.time(lambda: train_epoch(network, fresh(pairs), adam, cfg))
        rate = sum(len(label) for _, label in pairs) / seconds
        return self.described(variant, precision, rate, loss, peak)

    def time(self, epoch: Callable[[], float]) -> tuple[float, float, int | None]:
        """Median seconds of `epoch` after one that warms up, its first loss, and peak MiB."""
        self.scale.reset_peak()
        loss = epoch()
        seconds = statistics.median(self.scale.seconds(epoch) for _ in range(ROUNDS))
        return seconds, loss, self.scale.peak_mib()

    def described(
        self, variant: str, precision: str, rate: float, loss: float, peak: int | None
    ) -> dict:
        if self.base is None:
            self.base = rate, loss
        base_rate, base_loss = self.base
        return {
            "network": self.name,
            "variant": variant,
            "precision": precision,
            "train rows/s": round(rate),
            "factor": round(rate / base_rate, 2),
            "epoch of 3.6 million, s": 3.6e6 / rate,
            "loss - base": loss - base_loss,
            "device MiB": peak,
        }


def batches(scale: Scale, cfg: NetworkSettings, size: int = 1) -> Pairs:
    """As many batches as `scale.steps`, `size` times as large, that lie on the device."""
    n_rows, batch = scale.batch * scale.steps, size * scale.batch
    rows, label = scale.draw(cfg.max_len, n_rows)
    index = torch.arange(n_rows, device=rows.device).split(batch)
    index = [i for i in index if len(i) == batch]
    return [(rows.batch(i), label[i]) for i in index]


def fresh(pairs: Pairs) -> Iterator[tuple[Batch, Tensor]]:
    """The same batches, without what earlier steps have found out about their histories."""
    for batch, label in pairs:
        yield replace(batch, history=replace(batch.history)), label


def variants(scale: Scale) -> Iterator[dict]:
    make_deterministic(scale.torch_device)
    for name in NETWORKS:
        steps = Steps(scale, name)
        for precision in scale.precisions:
            yield steps.row("published arithmetic", precision)
        if name == "qin":
            collapsed = replace(steps.cfg, qnn=replace(steps.cfg.qnn, bank="collapsed"))
            for precision in scale.precisions:
                yield steps.row("collapsed bank", precision, scale.network(collapsed))
        yield steps.row("Adam parameter by parameter", fused=False, foreach=False)
        large = batches(scale, steps.cfg, min(LARGE, scale.steps))
        for precision in scale.precisions:
            yield steps.row(f"batches of {len(large[0][1]):,}", precision, pairs=large)
        torch.use_deterministic_algorithms(False)
        for precision in scale.precisions[:2]:
            yield steps.row("sums in any order", precision)
        make_deterministic(scale.torch_device)


def compiled(scale: Scale) -> Iterator[dict]:
    """Needs a compiler on the device: on a CPU there is no row."""
    make_deterministic(scale.torch_device)
    for name in NETWORKS if scale.on_gpu else ():
        steps = Steps(scale, name)
        for precision in scale.precisions[:2]:
            yield steps.row("published arithmetic", precision)
            yield steps.row("compiled interaction", precision, with_compiled(steps.network))


def with_compiled(network: Network) -> Network:
    """A copy of `network` whose interaction part is compiled."""
    network = copy.deepcopy(network)
    network.interaction.hidden = torch.compile(network.interaction.hidden, dynamic=False)
    return network


def triton(scale: Scale) -> Iterator[dict]:
    """Triton needs a GPU: on a CPU there is no row."""
    if not scale.on_gpu:
        return
    from bench.gpu.speed import triton_attention

    make_deterministic(scale.torch_device)
    steps = Steps(scale, "qin")
    for precision in scale.precisions[:2]:
        yield steps.row("published arithmetic", precision)
        network = copy.deepcopy(steps.network)
        network.interest = triton_attention.FusedSparseTargetAttention(network.interest)
        yield steps.row("attention in one kernel", precision, network)
