"""The update of networks with large embedding tables on a CPU: the same weights in fewer passes.

models.training.update passes over every whole table for the gradient's zeros, for L2, for the norm,
for clipping and for Adam, although a batch reads few rows. Here, for tables of at least LARGE
numbers, the same bytes come from one pass, Adam's:

    gradient  sparse: the rows of the batch, summed up by row in the order of the batch, are written
              into one array of zeros per table, and zeroed again after the update
    L2        inside Adam's kernel (weight_decay), for each number g + lambda w as before
    clipping  is left out where it is known to change nothing, by the triangle inequality:

                  |g + lambda w| <= |g| + lambda |w|,   |w_t| <= |w_(t-1)| + c r sqrt(n)

              g is the gradient of the loss, w all tables with their n numbers, r the learning rate,
              and c r bounds how far Adam moves a number: by the inequality of Cauchy and Schwarz

                  |m_t| <= c sqrt(v_t),   c = (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)),

              7.3 for Adam's usual b1 and b2; the correction of the bias only makes it smaller. |w|
              is computed whenever the bound is not enough; where that is not enough either, the
              whole tables are updated as in models.training.update.

Adam itself stays dense: see docs/performance.md, "Large embedding tables", for why its steps over
rows that a batch does not read cannot be put off at a gain.

Tables stay up to date in every step, so nothing else knows about this: averages, checkpoints and
predictions read what they always read.

The bytes are equal for a table that one module holds and that a backward pass reaches by one
lookup, as those of item ids, of users and of fields: a dense gradient is summed up for each lookup
before the sums are added, a sparse one is not.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.fit_settings import FitSettings
from models.training import distributed
from models.training.update import HasTables, add_embedding_l2, update

# From 32 MiB on, glibc's malloc takes every array from the system anew, and the system writes its
# zeros page by page: most of the time that a table's gradient takes. Below, little is gained.
LARGE = 2**23  # numbers of four bytes
ROUNDING = 0.99  # of clip_norm: a norm of float32 is not exact


class LargeTables:
    """See the module docstring. Without a large table, it is models.training.update alone.

    modules  the embeddings of `network` of at least `smallest` (LARGE) numbers, without those that
             share their weights; none on a GPU, over several processes, which add up dense
             gradients, and with the loss "contrastive", whose two passes look tables up twice
    """

    def __init__(self, network: nn.Module, cfg: FitSettings, smallest: int | None = None) -> None:
        smallest = LARGE if smallest is None else smallest
        with_l2 = {id(table) for table in network.embedding_tables()}
        embeddings = [module for module in network.modules() if isinstance(module, nn.Embedding)]
        holders = Counter(id(module.weight) for module in embeddings)
        self.modules = [
            module
            for module in embeddings
            if id(module.weight) in with_l2
            and holders[id(module.weight)] == 1
            and module.weight.numel() >= smallest
            and module.weight.device.type == "cpu"
            and distributed.size() == 1
            and cfg.loss != "contrastive"
        ]
        self.zeros = [torch.zeros_like(module.weight) for module in self.modules]
        self.norm = math.inf  # no less than the norm of all tables together

    @contextmanager
    def sparse_gradients(self) -> Iterator[None]:
        """Within it, the backward pass gives these tables sparse gradients."""
        for module in self.modules:
            module.sparse = True
        try:
            yield
        finally:
            for module in self.modules:
                module.sparse = False

    def update(
        self, network: HasTables, optimiser: torch.optim.Optimizer, cfg: FitSettings
    ) -> None:
        """models.training.update.update; a table without sparse gradient is like a small one."""
        read = [
            (module.weight, zeros, *sums_by_row(module.weight.grad))
            for module, zeros in zip(self.modules, self.zeros, strict=True)
            if module.weight.grad.is_sparse
        ]
        if not read:
            update(network, optimiser, cfg)
            return
        clipped = self._may_clip(network, optimiser, cfg, [sums for *_, sums in read])
        for table, dense, rows, sums in read:
            table.grad = dense.index_copy_(0, rows, sums)
        if clipped:
            update(network, optimiser, cfg)
            for _, dense, _, _ in read:
                dense.zero_()
            return
        large = [table for table, *_ in read]
        if small := without(network.embedding_tables(), large):
            add_embedding_l2(small, cfg.embedding_l2)
        with only(optimiser, without(optimiser.param_groups[0]["params"], large), 0.0):
            optimiser.step()
        with only(optimiser, large, cfg.embedding_l2):
            optimiser.step()
        for _, dense, rows, _ in read:
            dense.index_fill_(0, rows, 0.0)

    def _may_clip(
        self,
        network: HasTables,
        optimiser: torch.optim.Optimizer,
        cfg: FitSettings,
        sums: list[Tensor],
    ) -> bool:
        """Whether clipping may change the gradient; also moves the bound of |w| on by a step."""
        group, tables = optimiser.param_groups[0], network.embedding_tables()
        dense = [p.grad for p in group["params"] if p.grad is not None and not p.grad.is_sparse]
        of_loss = torch.nn.utils.get_total_norm([*dense, *sums]).item()
        room, weight = ROUNDING * cfg.clip_norm - of_loss, cfg.embedding_l2
        if weight and 0 < room < weight * self.norm:
            self.norm = torch.nn.utils.get_total_norm([t.detach() for t in tables]).item()
        may_clip = not (weight * self.norm if weight else 0.0) <= room  # True for NaN, too
        n = sum(table.numel() for table in tables)
        self.norm += largest_move(*group["betas"]) * group["lr"] * math.sqrt(n)
        return may_clip


def largest_move(b1: float, b2: float) -> float:
    """c: Adam moves no number further in a step than c times the learning rate."""
    return (1 - b1) / math.sqrt((1 - b2) * (1 - b1**2 / b2))


@torch.no_grad()
def sums_by_row(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (U,) int64 that the sparse `gradient` (I, E) names, ascending, and their sums (U, E)
    of its entries in their order, as the dense gradient adds them."""
    index, entries = gradient._indices()[0], gradient._values()
    ordered, position = torch.sort(index, stable=True)
    rows, counts = torch.unique_consecutive(ordered, return_counts=True)
    first = counts.cumsum(0) - counts
    return rows, F.embedding_bag(position, entries, first, mode="sum")


@contextmanager
def only(
    optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], weight_decay: float
) -> Iterator[None]:
    """Within it, a step is one of `parameters` alone, with that weight decay."""
    group = optimiser.param_groups[0]
    before = {name: group[name] for name in ("params", "weight_decay")}
    group |= {"params": parameters, "weight_decay": weight_decay}
    try:
        yield
    finally:
        group |= before


def without(tensors: list[nn.Parameter], left_out: list[nn.Parameter]) -> list[nn.Parameter]:
    """`tensors` but those that are in `left_out`, by identity."""
    out = {id(tensor) for tensor in left_out}
    return [tensor for tensor in tensors if id(tensor) not in out]
