"""What the fits of a run are trained on: its rows, on one device or on disk, and its networks."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cv.auc import auc
from features import column_codes
from features.errors import InputError
from features.store.store import Store, open_store
from models.batches.source import NoSlates, RowSource, RowValues
from models.fit_settings import FitSettings
from models.layers.columns import Columns
from models.network import Network
from models.settings import NetworkSettings
from models.training import distributed
from models.training.determinism import make_deterministic
from models.training.fit import (
    BatchProgress,
    CheckpointMismatch,
    EpochCallback,
    FitReport,
    fit,
    predict,
)
from models.training.warm_up import chance_error
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.settings import Settings
from pipeline.graph import OFFICIAL, FitKey
from pipeline.runtime.devices import pick_device, pick_precision
from pipeline.training.checkpointing import FitCheckpointer
from pipeline.training.item_tables import item_table
from pipeline.training.prefix_rows import PrefixRows
from pipeline.training.row_placement import number_of_users, place_rows

DRAWS_AT_ONCE = 1 << 22  # random numbers, 32 MiB


class FitRows(NamedTuple):
    """The rows of one fit.

    train, label      rows that it trains on, and their labels (N,)
    stop, stop_label  rows that choose its epoch, and their labels (S,) float32; `held` itself in
                      official mode, and where folds.stop_users=0
    held, held_label  rows that judge it, and their labels (M,) float32
    held_ids          row_ids (M,) of the held rows; None in official mode, which holds out valid
    """

    train: RowSource
    label: RowValues
    stop: RowSource
    stop_label: Tensor
    held: RowSource
    held_label: Tensor
    held_ids: np.ndarray | None


class TrainedFit(NamedTuple):
    """A network at its chosen epoch.

    report        its epochs, with scores of the rows that choose among them
    n_rows        that it was trained on; n_prefix_rows of them are of prefixes
    auc           of the held rows
    chance_error  standard error that it would have if they were ranked by chance
    held_ids      (M,) as in FitRows
    held_logits   (M,) float32
    """

    network: Network
    report: FitReport
    n_rows: int
    n_prefix_rows: int
    auc: float
    chance_error: float
    held_ids: np.ndarray | None
    held_logits: Tensor


@dataclass(frozen=True)
class TrainingContext:
    """The rows of a run on one device, or on disk.

    inputs  folders of graph.training_inputs
    rows, label, fold, part, prefixes  see pipeline.training.row_placement.PlacedRows
    """

    settings: Settings
    inputs: Mapping[str, Path]
    store: Store
    device: torch.device
    rows: dict[str, RowSource]
    label: dict[str, RowValues]
    fold: RowValues
    part: RowValues | None
    prefixes: PrefixRows | None = None

    @classmethod
    def open(cls, settings: Settings, inputs: Mapping[str, Path]) -> "TrainingContext":
        """`inputs` are the folders of graph.training_inputs."""
        settings = replace(settings, networks=graph.networks(settings))
        store, device = open_store(inputs["store"]), pick_device(settings.train.device)
        make_deterministic(device)
        placed = place_rows(settings, store, inputs, device)
        columns = {field.name: getattr(placed, field.name) for field in fields(placed)}
        return cls(settings, inputs, store, device, **columns)

    @classmethod
    def of_run(cls, settings: Settings) -> "TrainingContext":
        """What any network of the run is trained on."""
        specs = graph.training_inputs(settings, graph.networks(settings).values())
        return cls.open(settings, {name: require(spec) for name, spec in specs.items()})

    def network(self, model: str, seed: int) -> Network:
        """A freshly initialised network; the same for the same seed."""
        torch.manual_seed(seed)
        network_cfg = self.settings.networks[model]
        n_users, columns = number_of_users(self.store), None
        if network_cfg.columns:
            columns = Columns.of_train(self.rows["train"].codes())
        items = item_table(self.store.items, network_cfg, model)
        try:
            network = Network(network_cfg, items, n_users, columns)
        except ValueError as error:
            raise InputError(f"{model}: {error}") from None
        return network.to(self.device)

    def precision(self, model: str) -> str:
        """What the network's fit.precision means here. Raises InputError where it cannot be had."""
        return pick_precision(self.settings, model, self.device)

    def of_users(self, share: float, seed: int) -> "TrainingContext":
        """With the train rows of a random `share` of the users alone; for rows in memory.

        Raises InputError when a fold is left without clicks or without anything else.
        """
        if share == 1:
            return self
        drawn = of_drawn_users(np.asarray(self.store.train.user), share, seed)
        index = torch.from_numpy(drawn.nonzero()[0]).to(self.fold.device)
        few = replace(
            self,
            rows=self.rows | {"train": self.rows["train"].take(index)},
            label=self.label | {"train": self.label["train"][index]},
            fold=self.fold[index],
            part=None if self.part is None else self.part[index],
            prefixes=self.prefixes and self.prefixes.of_users(drawn),
        )
        network = next(iter(self.settings.networks.values()))
        for k in self.fold.unique().tolist():  # labels alone: whatever columns the inputs have
            rows = few.split(k, replace(network, columns=False))
            if any(len(label.unique()) < 2 for label in (rows.held_label, rows.stop_label)):
                raise InputError(f"tune.users = {share:g} leaves fold {k} without both labels")
        return few

    def train(
        self,
        key: FitKey,
        progress: BatchProgress,
        each_epoch: EpochCallback,
        checkpointer: FitCheckpointer | None = None,
    ) -> TrainedFit:
        """Train one network until the AUC of its stop rows falls, and score its held rows.

        Raises FloatingPointError when the training diverges; InputError where the checkpoint is of
        another fit, or the device cannot multiply with the network's precision.
        """
        model, seed, fold = key
        self.precision(model)
        network_cfg, network = self.settings.networks[model], self.network(model, seed)
        split = self.split(fold, network_cfg)
        split, n_prefix_rows = self.with_prefixes(split, fold, network_cfg.fit)
        checkpoint = {}
        if checkpointer is not None:
            checkpoint = {"state": checkpointer.load(), "save": checkpointer.save}
        try:
            report = fit(
                network, split.train, split.label, split.stop, split.stop_label, network_cfg.fit,
                seed=seed, score=auc, progress=progress, each_epoch=each_epoch, **checkpoint,
            )  # fmt: skip
        except NoSlates as error:
            raise InputError(f"{model}.fit.loss=listwise: {error}") from None
        except CheckpointMismatch as error:
            raise InputError(
                f"{checkpointer.path} is not a checkpoint of this fit ({error}); delete it, or add"
                " --force"
            ) from None
        held_auc, held_logits = report.best_score, report.held_logits
        if split.stop is not split.held:
            held_logits = finite(predict(network, split.held), "the held-out fold")
            held_auc = distributed.broadcast_scalar(auc(split.held_label, held_logits))
        return TrainedFit(
            network=network,
            report=report,
            n_rows=len(split.train),
            n_prefix_rows=n_prefix_rows,
            auc=held_auc,
            chance_error=chance_error(split.held_label),
            held_ids=split.held_ids,
            held_logits=held_logits,
        )

    def predict(self, network: Network, name: str, cfg: NetworkSettings, fold: int) -> Tensor:
        """Logits (N,) of valid or test by a fit of `fold`.

        Raises FloatingPointError when one is not finite.
        """
        return finite(predict(network, self.rows_of(name, cfg, fold)), name)

    def rows_of(self, name: str, cfg: NetworkSettings, fold: int) -> RowSource:
        """The rows of a split as a fit of `fold` reads them: their histories and their columns."""
        rows = self.rows[name].cut(cfg.max_len)
        if not cfg.columns:
            return rows.with_columns(None)
        return rows if name == "train" else rows.with_columns(self.codes(name, fold))

    def codes(self, name: str, fold: int) -> np.ndarray:
        """The codes (N, C) of valid or test that a fit of `fold` reads, mapped."""
        return column_codes.load(self.inputs["features"], name, fold)

    def split(self, fold: int, cfg: NetworkSettings) -> FitRows:
        """The rows outside `fold`, shared out to train and to choose the epoch, and those of it.

        In official mode: all of train; valid does both the choosing and the judging.
        """
        rows, label = self.rows_of("train", cfg, fold), self.label["train"]
        if fold == OFFICIAL:
            held = self.rows_of("valid", cfg, fold)
            held_label = held.labels(self.label["valid"])
            return FitRows(rows, label, held, held_label, held, held_label, None)
        others, others_label = rows.select(self.fold, lambda folds: folds != fold, label)
        held, held_label = rows.select(self.fold, lambda folds: folds == fold, label)
        held_label = held.labels(held_label)
        held_ids = rows.selected(self.fold, lambda folds: folds == fold)
        if self.part is None:
            return FitRows(others, others_label, held, held_label, held, held_label, held_ids)
        own = fold % self.settings.folds.stop_parts
        _, part = rows.select(self.fold, lambda folds: folds != fold, self.part)
        train, train_label = others.select(part, lambda parts: parts != own, others_label)
        stop, stop_label = others.select(part, lambda parts: parts == own, others_label)
        stop_label = stop.labels(stop_label)
        return FitRows(train, train_label, stop, stop_label, held, held_label, held_ids)

    def with_prefixes(self, split: FitRows, fold: int, cfg: FitSettings) -> tuple[FitRows, int]:
        """`split` with prefixes beside its train rows, of the same users; and how many."""
        if not cfg.prefixes:
            return split, 0
        held_fold = own = None
        if fold != OFFICIAL:
            held_fold = fold
            own = None if self.part is None else fold % self.settings.folds.stop_parts
        more = self.prefixes.of_fit(held_fold, own, cfg.prefixes)
        train, label = more.beside(split.train, split.label, cfg)
        return split._replace(train=train, label=label), len(more)

    def load(self, name: str) -> tuple[RowSource, Tensor]:
        """All rows of train or valid and their labels, in memory."""
        rows = self.rows[name]
        return rows.load(), rows.labels(self.label[name])


def of_drawn_users(user: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Bool (N,) of the rows of a random `share` of the users (N,); of user u, the draw is the u-th.

    Draws are made some at a time, since ids may be large.
    """
    users, of_row = np.unique(user, return_inverse=True)
    rng, drawn, first = np.random.default_rng(seed), np.zeros(len(users), bool), 0
    while first <= users[-1]:
        numbers = rng.random(min(DRAWS_AT_ONCE, int(users[-1]) + 1 - first))
        inside = slice(*np.searchsorted(users, (first, first + len(numbers))))
        drawn[inside] = numbers[users[inside] - first] < share
        first += len(numbers)
    return drawn[of_row]


def finite(logits: Tensor, name: str) -> Tensor:
    """`logits` themselves. Raises FloatingPointError when one is not finite."""
    if not torch.isfinite(logits).all():
        raise FloatingPointError(f"logits of {name} are not finite")
    return logits
