"""The only training loop: shuffled batches of device-resident rows, early stopping on held-out AUC.

Per step, as published: the loss (models.training.losses), plus (lambda / 2) sum w^2 over the
whole embedding
tables, gradient clipped by its total norm, Adam. Learning rate times `decay` when the AUC stops
rising.
A GPU is waited for before and after an epoch (models.batches.rows), never in it; but "bce_bpr"
and a
Transformer need to know sizes, and rows on the host are copied.

A fit may be stopped after any epoch and go on from `Course.state_dict()`, in another process too:
it ends with the bytes of one that was never stopped.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from models.batches.feed import batches_on_device
from models.batches.source import BatchSource, RowValues
from models.layers.precision import matmul_precision
from models.network import Network
from models.settings import FitSettings
from models.training import distributed
from models.training.losses import loss

Score = Callable[[Tensor, Tensor], float]  # (label, logits) -> the figure that should rise
Progress = Callable[[Iterable, str], Iterable]
EachEpoch = Callable[[int, dict], None]  # (epoch from 1, its record in FitReport.epochs)
Save = Callable[[Callable[[], dict]], None]  # may call what it is given for the state to keep
PREDICTED_AT_ONCE = {"cpu": 1024, "cuda": 8192}  # rows; so few that a CPU's cache holds a layer's


@dataclass(slots=True)
class FitReport:
    """What a fit did.

    best_epoch   counted from 1
    best_score   on the held-out rows, which also chose the epoch: it flatters a little
    held_logits  (M,) float32, of the best epoch
    epochs       per epoch: loss, score, learning_rate, seconds
    """

    best_epoch: int = 0
    best_score: float = -math.inf
    held_logits: Tensor | None = None
    epochs: list[dict] = field(default_factory=list)


class CheckpointMismatch(ValueError):
    """A state to go on from that was kept by another fit."""


class TrainState:
    """A fit between two epochs: all that the next ones depend on, and what came of the others."""

    def __init__(self, network: Network, s: FitSettings, seed: int) -> None:
        self.network, self.s = network, s
        self.device = next(network.parameters()).device
        self.optimiser = torch.optim.Adam(network.parameters(), lr=s.learning_rate, fused=True)
        self.shuffle = torch.Generator().manual_seed(seed)  # the order depends on nothing else
        torch.manual_seed(distributed.own_seed(seed))  # dropout
        self.report = FitReport()
        self.best: dict[str, Tensor] = {}  # the weights of the best epoch
        self.stale = 0  # epochs since then

    @property
    def over(self) -> bool:
        return len(self.report.epochs) >= self.s.max_epochs or self.stale >= self.s.patience

    def add(self, record: dict, logits: Tensor) -> None:
        """Take in what an epoch came to: its record and the held-out logits (M,)."""
        report, s = self.report, self.s
        report.epochs.append(record)
        if record["score"] > report.best_score:
            report.best_epoch, report.best_score = len(report.epochs), record["score"]
            report.held_logits, self.stale = logits, 0
            self.best = copy.deepcopy(self.network.state_dict())
            return
        self.stale += 1
        if self.stale < s.patience and self.stale % s.decay_patience == 0:
            now = record["learning_rate"]
            lower = max(now * s.decay, min(now, s.min_learning_rate))
            self.optimiser.param_groups[0]["lr"] = lower

    def state_dict(self) -> dict:
        """Tensors and plain values, as torch.load(weights_only=True) takes them; no copies."""
        on_gpu = self.device.type == "cuda"
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "stale": self.stale,
            "report": {f.name: getattr(self.report, f.name) for f in fields(FitReport)},
            "shuffle": self.shuffle.get_state(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state`, whose tensors lie on the CPU.

        Raises NotThisFit where it is of another network; this fit is then of no use any more.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.best, self.stale = state["best"], state["stale"]
            self.report = FitReport(**state["report"])
            self.report.held_logits = self.report.held_logits.to(self.device)
            self.shuffle.set_state(state["shuffle"])
            torch.set_rng_state(state["random"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_gpu"], self.device)
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise CheckpointMismatch(f"{type(error).__name__}: {first}") from None


def fit(
    network: Network,
    train: BatchSource,
    label: RowValues,
    held: BatchSource,
    held_label: Tensor,
    s: FitSettings,
    *,
    seed: int,
    score: Score,
    progress: Progress = lambda batches, _: batches,
    each_epoch: EachEpoch = lambda epoch, record: None,
    state: dict | None = None,
    save: Save = lambda state: None,
) -> FitReport:
    """Train until the held-out score stops rising; leave the best weights in `network`.

    Shapes: label (N,) and held_label (M,) float, on the device of the rows and the network; of rows
    on disk, label is a RowValues.
    Begins at `state` where there is one; `save` is called after every epoch.
    Raises FloatingPointError, naming epoch and learning rate, when loss or logits are not finite;
    NotThisFit where `state` is of another.
    Processes of a team (models.training.distributed) call it alike, and end with the same weights.
    """
    distributed.sync_weights(network)
    course = TrainState(network, s, seed)
    if state is not None:
        course.load_state_dict(state)
    while not course.over:
        epoch, started = len(course.report.epochs) + 1, time.perf_counter()
        learning_rate = course.optimiser.param_groups[0]["lr"]
        batches = train.plan(s.batch_size, course.shuffle, distributed.sharding())
        fed = batches_on_device(train, label, batches, course.device)
        steps = (next(fed) for _ in progress(batches, f"epoch {epoch}"))
        mean_loss = train_epoch(network, steps, course.optimiser, s)
        logits = predict(network, held)
        if not (math.isfinite(mean_loss) and torch.isfinite(logits).all()):
            n_bad = int((~torch.isfinite(logits)).sum())
            raise FloatingPointError(
                f"epoch {epoch}: training loss {mean_loss}, {n_bad} of {len(logits)} held-out"
                f" logits not finite, at learning rate {learning_rate:g}"
            )
        reached = distributed.broadcast_scalar(score(held_label, logits))
        record = {"loss": mean_loss, "score": reached, "learning_rate": learning_rate}
        record["seconds"] = time.perf_counter() - started
        course.add(record, logits)
        each_epoch(epoch, record)
        save(course.state_dict)
    network.load_state_dict(course.best)
    return course.report


def train_epoch(
    network: Network,
    batches: Iterator[tuple[Any, Tensor]],
    optimiser: torch.optim.Optimizer,
    s: FitSettings,
) -> float:
    """One pass over `batches` and their labels, as models.batches.feed has them; the mean loss of
    a row."""
    network.train()
    parameters = list(network.parameters())
    device = parameters[0].device
    total, n_rows = torch.zeros((), dtype=torch.float64, device=device), 0
    while True:
        with record_function("batch"):
            batch, label = next(batches, (None, None))
        if batch is None:
            break
        optimiser.zero_grad(set_to_none=True)
        with record_function("forward"), matmul_precision(s.precision, device):
            batch_loss = loss(network, batch, label, s)
        with record_function("backward"):
            distributed.backward(batch_loss, parameters, len(label))
        with record_function("update"):
            add_embedding_l2(network, s.embedding_l2)
            torch.nn.utils.clip_grad_norm_(parameters, s.clip_norm)
            optimiser.step()
        if len(label):  # a process may have no row of a small batch
            total += batch_loss.detach() * len(label)
        n_rows += len(label)
    return distributed.mean(total, n_rows)


def add_embedding_l2(network: Network, weight: float) -> None:
    """Add the gradient of (weight / 2) sum w^2 over the embedding tables, without its graph."""
    tables = network.embedding_tables()
    torch._foreach_add_([t.grad for t in tables], [t.detach() for t in tables], alpha=weight)


@torch.no_grad()
def predict(network: Network, rows: BatchSource, batch_size: int | None = None) -> Tensor:
    """Logits (N,) float32 of `rows`, in eval mode; never rounded, whatever the training did."""
    score, device = network.eval().fused(), next(network.parameters()).device
    batch_size = batch_size or PREDICTED_AT_ONCE[device.type]
    plan = rows.plan(batch_size, shard=distributed.sharding())
    own = torch.cat([score(batch) for batch, _ in batches_on_device(rows, None, plan, device)])
    return distributed.gather(own, len(rows))
