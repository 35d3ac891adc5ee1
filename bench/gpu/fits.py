"""Fits that bench.gpu compares: their rows, of three kinds, and a limit on their time."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.gpu.scale import Scale
from bench.tools import challenge_like
from cv.auc import auc
from features.store.store import open_store
from models.batches.rows import Rows
from models.items import ItemTable
from models.network import Network
from models.settings import FitSettings, NetworkSettings
from models.training.fit import FitReport, fit
from pipeline.training.item_tables import item_table

MAX_LEN = 64  # of every network at published settings


class LabeledRows(NamedTuple):
    """Rows, and their labels (N,) float32 on the same device."""

    rows: Rows
    label: Tensor

    def part(self, index: Tensor) -> "LabeledRows":
        """The rows `index` (M,) int64."""
        return LabeledRows(self.rows.take(index), self.label[index])

    def cut(self, max_len: int) -> "LabeledRows":
        return self._replace(rows=self.rows.cut(max_len))


class FitData(NamedTuple):
    """Rows of different users each: those that train, choose the epoch, and judge the result."""

    train: LabeledRows
    choose: LabeledRows
    judge: LabeledRows
    items: ItemTable


class CappedFit(NamedTuple):
    """A fit, and whether it ran out of time before it stopped by itself."""

    report: FitReport
    capped: bool


def generated(scale: Scale, n_rows: int, n_held: int) -> FitData:
    """`n_rows` train rows with learnable labels, and `n_held` held ones, half of them to judge."""
    items = challenge_like.items(scale.items)
    rows, _ = scale.draw(MAX_LEN, n_rows + n_held)
    whole = LabeledRows(rows, challenge_like.learnable_labels(rows, items))
    half = n_rows + n_held // (2 * challenge_like.ROWS_PER_USER) * challenge_like.ROWS_PER_USER
    ends = ((0, n_rows), (n_rows, half), (half, len(rows)))
    return FitData(*(whole.part(torch.arange(*end, device=rows.device)) for end in ends), items)


def real(scale: Scale) -> FitData:
    """The rows of scale.store: fold 0 of scale.folds chooses the epoch, official valid judges.

    Takes the first scale.rows train and scale.held_rows held rows. Raises InputError for a damaged
    store.
    """
    store = open_store(scale.store)
    items = item_table(store.items, scale.settings("qin"), "qin")
    fold = np.load(scale.folds / "fold.npy", allow_pickle=False)

    def labeled(split, index: np.ndarray) -> LabeledRows:
        split = split.take(index)
        rows = Rows.of_split(split, store.values, store.offsets, len(store.items), MAX_LEN)
        label = torch.from_numpy(split.label.astype(np.float32))
        return LabeledRows(rows.to(scale.device), label.to(scale.device))

    train, held = (fold != 0).nonzero()[0][: scale.rows], (fold == 0).nonzero()[0]
    return FitData(
        train=labeled(store.train, train),
        choose=labeled(store.train, held[: scale.held_rows]),
        judge=labeled(store.valid, np.arange(len(store.valid))[: scale.held_rows]),
        items=items,
    )


class _TimeUp(Exception):
    def __init__(self, state: dict) -> None:
        self.state = state


def fit_within(
    seconds: float, cfg: NetworkSettings, network: Network, data: FitData, seed: int
) -> CappedFit:
    """Fit `network` by early stopping on data.choose, in epochs of at most `seconds` together.

    Where the next epoch would take too long, it stops and keeps the best one.
    Raises FloatingPointError as models.training.fit.fit does.
    """
    train, choose = (part.cut(cfg.max_len) for part in (data.train, data.choose))
    try:
        report = fit(
            network, *train, *choose, cfg.fit,
            seed=seed, score=auc, save=_deadline(seconds, cfg.fit),
        )  # fmt: skip
    except _TimeUp as stop:
        network.load_state_dict(stop.state["best"])
        return CappedFit(FitReport(**stop.state["report"]), True)
    return CappedFit(report, False)


def _deadline(seconds: float, cfg: FitSettings) -> Callable[[Callable[[], dict]], None]:
    """A hook `save` of a fit that raises _TimeUp where the next epoch would take too long."""

    def save(get_state: Callable[[], dict]) -> None:
        state = get_state()
        epochs = state["report"]["epochs"]
        finished = state["stale"] >= cfg.patience or len(epochs) >= cfg.max_epochs
        spent = sum(record["seconds"] for record in epochs)
        if not finished and spent + epochs[-1]["seconds"] > seconds:
            raise _TimeUp(state)

    return save
