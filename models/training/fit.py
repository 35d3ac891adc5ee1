"""The training loop of every network: shuffled batches, early stopping on the AUC of held-out rows.

Each step, as published: the loss (models.training.losses), plus (lambda / 2) sum w^2 over the whole
embedding tables, the gradient clipped by its total norm, Adam (models.training.update; for large
tables on a CPU, models.training.large_tables does the same in less time). The learning rate is
multiplied by `decay` when the AUC stops rising; that counts once the warm-up is over
(models.training.warm_up).
With `ema`, an average of the weights is evaluated and kept (models.training.averaging).

The loss "listwise" trains on batches of whole slates; the others on batches of any rows.

Within an epoch the host never waits for the GPU (models.batches.rows), except: the loss "bce_bpr"
and a Transformer must know sizes, and rows on the host are copied.

A fit may stop after any epoch and resume from `TrainState.state_dict()`, in another process too: it
ends with the same bytes as one that never stopped.
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
from models.fit_settings import FitSettings
from models.layers.precision import gradient_precision, matmul_precision, product_precision
from models.network import Network
from models.training import distributed, warm_up
from models.training.averaging import WeightAverage
from models.training.large_tables import LargeTables
from models.training.losses import loss
from models.training.update import Update, update

Score = Callable[[Tensor, Tensor], float]  # (label, logits) -> the figure that should rise
BatchProgress = Callable[[Iterable, str], Iterable]  # (batches, title) -> the same batches
EpochCallback = Callable[[int, dict], None]  # (epoch from 1, its record in FitReport.epochs)
TrainStep = Callable[..., Tensor]  # arguments and result of train_step
SaveState = Callable[[Callable[[], dict]], None]  # gets a function that returns the state to save
PREDICT_ROWS = {"cpu": 1024, "cuda": 8192}  # in a batch; so few that a CPU's cache holds a layer's


@dataclass(slots=True)
class FitReport:
    """The result of a fit.

    best_epoch    counted from 1
    best_score    on the held-out rows, which also chose the epoch: it flatters
    held_logits   (M,) float32, of the best epoch
    epochs        per epoch: loss, score, learning_rate, seconds
    chance_error  standard error of the score of held-out rows that are ranked by chance
    """

    best_epoch: int = 0
    best_score: float = -math.inf
    held_logits: Tensor | None = None
    epochs: list[dict] = field(default_factory=list)
    chance_error: float = 0.0


class CheckpointMismatch(ValueError):
    """The state to resume from was saved by another fit."""


class TrainState:
    """A fit between two epochs: all that the next ones depend on, and the report so far."""

    def __init__(self, network: Network, cfg: FitSettings, seed: int, chance_error: float) -> None:
        self.network, self.cfg = network, cfg
        self.device = next(network.parameters()).device
        self.optimiser = torch.optim.Adam(network.parameters(), lr=cfg.learning_rate, fused=True)
        self.shuffle = torch.Generator().manual_seed(seed)  # the order depends on nothing else
        torch.manual_seed(distributed.rank_seed(seed))  # dropout
        self.report = FitReport(chance_error=chance_error)
        self.best: dict[str, Tensor] = {}  # the weights of the best epoch
        self.average = WeightAverage(network, cfg.ema)
        self.large = LargeTables(network, cfg)
        self.steps = 0
        self.stale = 0  # epochs since the best one, those of the warm-up left out

    @property
    def finished(self) -> bool:
        return len(self.report.epochs) >= self.cfg.max_epochs or self.stale >= self.cfg.patience

    def step(
        self,
        network: Network,
        batch: Any,
        label: Tensor,
        optimiser: torch.optim.Optimizer,
        cfg: FitSettings,
    ) -> Tensor:
        """train_step, counted and averaged, at the learning rate times min(1, t / warmup_steps) in
        step t, counted from 1 (Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2)."""
        self.steps += 1
        group = optimiser.param_groups[0]
        rate = group["lr"]
        group["lr"] = rate * min(1.0, self.steps / max(cfg.warmup_steps, 1))
        with self.large.sparse_gradients():
            batch_loss = train_step(network, batch, label, optimiser, cfg, self.large.update)
        group["lr"] = rate
        self.average.update(self.steps)
        return batch_loss

    def add(self, record: dict, logits: Tensor) -> None:
        """Add an epoch: its record and the held-out logits (M,), of the weights in the network."""
        report, cfg = self.report, self.cfg
        report.epochs.append(record)
        if record["score"] > report.best_score:
            report.best_epoch, report.best_score = len(report.epochs), record["score"]
            report.held_logits, self.stale = logits, 0
            self.best = copy.deepcopy(self.network.state_dict())
            return
        if not warm_up.is_over(report.best_score, report.chance_error, self.steps):
            return
        self.stale += 1
        if self.stale < cfg.patience and self.stale % cfg.decay_patience == 0:
            rate = record["learning_rate"]
            lower = max(rate * cfg.decay, min(rate, cfg.min_learning_rate))
            self.optimiser.param_groups[0]["lr"] = lower

    def state_dict(self) -> dict:
        """Tensors and plain values, as torch.load(weights_only=True) takes them; no copies."""
        on_gpu = self.device.type == "cuda"
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "average": self.average.averaged,
            "steps": self.steps,
            "stale": self.stale,
            "report": {f.name: getattr(self.report, f.name) for f in fields(FitReport)},
            "shuffle": self.shuffle.get_state(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def load_state_dict(self, state: dict) -> None:
        """Resume from `state`, whose tensors lie on the CPU.

        Raises CheckpointMismatch where it is of another network; do not use this fit after that.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load(state["average"])
            self.best, self.steps, self.stale = state["best"], state["steps"], state["stale"]
            self.report = FitReport(**state["report"])
            self.report.held_logits = self.report.held_logits.to(self.device)
            self.shuffle.set_state(state["shuffle"])
            torch.set_rng_state(state["random"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_gpu"], self.device)
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            message = str(error).strip().partition("\n")[0]
            raise CheckpointMismatch(f"{type(error).__name__}: {message}") from None


def fit(
    network: Network,
    train: BatchSource,
    label: RowValues,
    held: BatchSource,
    held_label: Tensor,
    cfg: FitSettings,
    *,
    seed: int,
    score: Score,
    progress: BatchProgress = lambda batches, _: batches,
    each_epoch: EpochCallback = lambda epoch, record: None,
    state: dict | None = None,
    save: SaveState = lambda state: None,
) -> FitReport:
    """Train until the held-out score stops rising; leave the best weights in `network`.

    Shapes: label (N,) and held_label (M,) float, on the device of the rows and the network; a label
    of rows on disk is a DiskArray.
    It resumes from `state` where there is one; `save` is called after every epoch.
    Raises FloatingPointError, naming epoch and learning rate, when loss or logits are not finite;
    CheckpointMismatch where `state` is of another fit.
    models.batches.source.NoSlates where the loss is listwise and `train` has no slates.
    All processes of a distributed fit (models.training.distributed) call it with the same
    arguments, and end with the same weights.
    """
    if cfg.loss == "listwise":
        train = train.in_slates()
    distributed.sync_weights(network)
    train_state = TrainState(network, cfg, seed, warm_up.chance_error(held_label))
    if state is not None:
        train_state.load_state_dict(state)
    while not train_state.finished:
        epoch, started = len(train_state.report.epochs) + 1, time.perf_counter()
        learning_rate = train_state.optimiser.param_groups[0]["lr"]
        plan = train.plan(cfg.batch_size, train_state.shuffle, distributed.sharding())
        batches = batches_on_device(train, label, plan, train_state.device)
        steps = (next(batches) for _ in progress(plan, f"epoch {epoch}"))
        mean_loss = train_epoch(network, steps, train_state.optimiser, cfg, train_state.step)
        with train_state.average.in_network():
            logits = predict(network, held)
            if not (math.isfinite(mean_loss) and torch.isfinite(logits).all()):
                n_bad = int((~torch.isfinite(logits)).sum())
                raise FloatingPointError(
                    f"epoch {epoch}: training loss {mean_loss}, {n_bad} of {len(logits)} held-out"
                    f" logits not finite, at learning rate {learning_rate:g}"
                )
            held_score = distributed.broadcast_scalar(score(held_label, logits))
            record = {"loss": mean_loss, "score": held_score, "learning_rate": learning_rate}
            record["seconds"] = time.perf_counter() - started
            train_state.add(record, logits)
        each_epoch(epoch, record)
        save(train_state.state_dict)
    network.load_state_dict(train_state.best)
    return train_state.report


def train_step(
    network: Network,
    batch: Any,
    label: Tensor,
    optimiser: torch.optim.Optimizer,
    cfg: FitSettings,
    update: Update = update,
) -> Tensor:
    """One step on a batch with its labels (B,) float; the loss () that it had before the step."""
    parameters = optimiser.param_groups[0]["params"]  # all of them; no walk through the modules
    optimiser.zero_grad(set_to_none=True)
    with record_function("forward"), matmul_precision(cfg.precision, label.device):
        batch_loss = loss(network, batch, label, cfg)
    with record_function("backward"), gradient_precision(cfg.precision, label.device):
        distributed.backward(batch_loss, parameters, len(label))
    with record_function("update"):
        update(network, optimiser, cfg)
    return batch_loss.detach()


def train_epoch(
    network: Network,
    batches: Iterator[tuple[Any, Tensor]],
    optimiser: torch.optim.Optimizer,
    cfg: FitSettings,
    step: TrainStep = train_step,
) -> float:
    """One pass over `batches` and their labels (see models.batches.feed); the mean loss per row."""
    network.train()
    device = next(network.parameters()).device
    total, n_rows = torch.zeros((), dtype=torch.float64, device=device), 0
    while True:
        with record_function("batch"):
            batch, label = next(batches, (None, None))
        if batch is None:
            break
        batch_loss = step(network, batch, label, optimiser, cfg)
        if len(label):  # one process may have no row of a small batch
            total += batch_loss * len(label)
        n_rows += len(label)
    return distributed.mean(total, n_rows)


@torch.no_grad()
@product_precision("float32")
def predict(network: Network, rows: BatchSource, batch_size: int | None = None) -> Tensor:
    """Logits (N,) float32 of `rows`, in eval mode; never rounded, whatever the training did."""
    score, device = network.eval().fused(), next(network.parameters()).device
    batch_size = batch_size or PREDICT_ROWS[device.type]
    plan = rows.plan(batch_size, shard=distributed.sharding())
    own = torch.cat([score(batch) for batch, _ in batches_on_device(rows, None, plan, device)])
    return distributed.gather(own, len(rows))
