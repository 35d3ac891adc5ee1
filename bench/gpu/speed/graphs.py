"""A training step as one CUDA graph, which the host launches in one call.

A graph has fixed sizes, and batches differ in theirs. So every batch gets one row more, which holds
the entries that are missing to the longest batch; they point at the padding item. The network drops
that row before it combines anything, so that its gradients are exactly 0. The distinct items are
filled up with the padding item, at which no other entry points.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from bench.gpu.scale import NETWORKS, Scale
from bench.gpu.speed.variants import Pairs, Steps
from models.batches.batch import Batch
from models.layers.ragged import History
from models.network import Network
from models.settings import FitSettings
from models.training.determinism import make_deterministic
from models.training.fit import train_step

WARM = 3  # steps before the capture: they allocate what the graph reuses


def graphs(scale: Scale) -> Iterator[dict]:
    """CUDA alone has graphs: on a CPU there is no row."""
    make_deterministic(scale.torch_device)
    for name in NETWORKS if scale.on_gpu else ():
        steps = Steps(scale, name)
        for precision in scale.precisions[:2]:
            yield steps.row("published arithmetic", precision)
            yield graphed_row(steps, precision)


def graphed_row(steps: Steps, precision: str) -> dict:
    """The row of the graph, whose memory is free again after it."""
    cfg = replace(steps.cfg.fit, precision=precision)
    graphed = GraphedSteps(steps.network, steps.pairs, cfg)
    seconds, mean, peak = steps.time(partial(graphed.epoch, steps.pairs))
    rate = steps.scale.batch * len(steps.pairs) / seconds
    return steps.described("one graph", precision, rate, mean, peak)


class FixedBatch:
    """Tensors of fixed sizes that hold one batch after another, each with a row to fill them up.

    read()  a batch of B + 1 rows; label (B,)
    """

    def __init__(self, pairs: Sequence[tuple[Batch, Tensor]]) -> None:
        first, label = pairs[0]
        self.n_rows, self.label = len(label), label.clone()
        n_entries = max(len(batch.history.position) for batch, _ in pairs)
        n_items = max(len(batch.items) for batch, _ in pairs)

        def zeros(n: int) -> Tensor:
            return first.items.new_zeros(n)

        history = History(zeros(n_entries), zeros(n_entries), zeros(self.n_rows + 2))
        columns = (zeros(self.n_rows + 1) for _ in range(4))
        self.tensors = Batch(zeros(n_items), *columns, history)
        history.offsets[-1] = n_entries

    def read(self) -> Batch:
        """The batch that lies in the tensors now."""
        return replace(self.tensors, history=replace(self.tensors.history))  # not sorted yet

    def load(self, batch: Batch, label: Tensor) -> None:
        """Overwrite it with `batch` and its labels (B,)."""
        ours, theirs = self.tensors, batch
        for name in ("target", "user", "likes", "views"):
            getattr(ours, name)[:-1].copy_(getattr(theirs, name))
        for tensor, value, filler in (
            (ours.items, theirs.items, 0),
            (ours.history.position, theirs.history.position, 0),
            (ours.history.row, theirs.history.row, self.n_rows),
        ):
            tensor[: len(value)].copy_(value)
            tensor[len(value) :].fill_(filler)
        ours.history.offsets[:-1].copy_(theirs.history.offsets)
        self.label.copy_(label)


class WithoutLastRow(nn.Module):
    """`network` on a FixedBatch: the row that fills it up takes part in no interaction."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.distils, self.head = network.distils, network.head

    def hidden(self, batch: Batch) -> Tensor:
        return self.network.interaction.hidden(self.network.features(batch)[:-1])

    def embedding_tables(self) -> list[nn.Parameter]:
        return self.network.embedding_tables()


class GraphedSteps:
    """Training steps by one graph, which changes the weights of a copy of `network`."""

    def __init__(self, network: Network, pairs: Pairs, cfg: FitSettings) -> None:
        self.network = WithoutLastRow(copy.deepcopy(network).train())
        parameters = self.network.parameters()
        self.adam = torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=True)
        self.fixed = FixedBatch(pairs)
        self.fixed.load(*pairs[0])
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self.step(cfg)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.lost = self.step(cfg)  # the loss () that a replay leaves

    def step(self, cfg: FitSettings) -> Tensor:
        return train_step(self.network, self.fixed.read(), self.fixed.label, self.adam, cfg)

    def epoch(self, pairs: Pairs) -> float:
        """A step on each of `pairs`; their mean loss."""
        total = torch.zeros_like(self.lost)
        for pair in pairs:
            self.fixed.load(*pair)
            self.graph.replay()
            total += self.lost
        return total.item() / len(pairs)
