"""What fits are trained on: the rows of a run, on one device or on disk, and the networks."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from cv.auc import auc
from features.errors import InputError
from features.store.store import Items, Store, open_store
from models.batches.disk_array import DiskArray
from models.batches.rows import Rows, tensor
from models.batches.stream import StreamRows, min_memory
from models.items import ItemTable
from models.network import Network
from models.settings import NetworkSettings
from models.training.fit import (
    PREDICTED_AT_ONCE,
    CheckpointMismatch,
    EachEpoch,
    FitReport,
    Progress,
    fit,
    predict,
)
from pipeline import graph
from pipeline.config.settings import Settings
from pipeline.graph import OFFICIAL
from pipeline.runtime.devices import pick_device
from pipeline.training.checkpointing import FitCheckpointer

Key = tuple[str, int, int]  # model, seed, fold


@dataclass(frozen=True)
class TrainingContext:
    """The rows of a run on one device, or on disk.

    rows   of train, valid and test
    label  of train and valid: (N,) float32, on disk uint8
    fold   of the train rows: (N,) int8
    """

    settings: Settings
    store: Store
    device: torch.device
    rows: dict[str, Rows] | dict[str, StreamRows]
    label: dict[str, Tensor] | dict[str, DiskArray]
    fold: Tensor | DiskArray

    @classmethod
    def open(cls, s: Settings, store_folder: Path, folds_folder: Path) -> "TrainingContext":
        s = replace(s, networks=graph.networks(s))
        store, device = open_store(store_folder), pick_device(s.train.device)
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        splits = {"train": store.train, "valid": store.valid, "test": store.test}
        n_items, width = len(store.items), store.manifest["found"]["width"]
        if s.train.rows == "stream":
            check_memory(s, device)
            histories, memory = (store.values, store.offsets), s.train.memory << 20
            rows = {
                name: StreamRows.of_split(split, *histories, n_items, width, memory)
                for name, split in splits.items()
            }
            label = {name: DiskArray.of(splits[name].label) for name in ("train", "valid")}
            return cls(s, store, device, rows, label, fold_column(folds_folder / "fold.npy"))
        rows = {
            name: Rows.of_split(split, store.values, store.offsets, n_items, width)
            for name, split in splits.items()
        }
        on_host = stay_on_host(s.train.rows, rows, device)
        home = torch.device("cpu") if on_host else device
        rows = {name: replace(split.to(home), on_host=on_host) for name, split in rows.items()}
        label = {
            name: torch.from_numpy(np.array(splits[name].label, np.float32)).to(home)
            for name in ("train", "valid")
        }
        folds = pl.read_parquet(folds_folder / "folds.parquet").sort("row_id")
        fold = torch.tensor(folds["fold"].to_numpy(), device=home)
        return cls(s, store, device, rows, label, fold)

    def network(self, model: str, seed: int) -> Network:
        """A freshly initialised network; the same for the same seed."""
        torch.manual_seed(seed)
        s, splits = self.settings.networks[model], (self.store.train, self.store.valid)
        n_users = 1 + max(DiskArray.of(split.user).max() for split in (*splits, self.store.test))
        try:
            made = Network(s, item_table(self.store.items, s, model), n_users)
        except ValueError as error:
            raise InputError(f"{model}: {error}") from None
        return made.to(self.device)

    def of_users(self, share: float, seed: int) -> "TrainingContext":
        """The train rows of a random `share` of the users alone, numbered anew.

        Raises InputError when a fold is left without clicks or without anything else.
        """
        if share == 1:
            return self
        user = np.asarray(self.store.train.user)
        drawn = np.random.default_rng(seed).random(int(user.max()) + 1) < share
        index = torch.from_numpy(drawn[user].nonzero()[0]).to(self.fold.device)
        label, fold = self.label["train"][index], self.fold[index]
        for k in self.fold.unique().tolist():
            if len(label[fold == k].unique()) < 2:
                raise InputError(f"tune.users = {share:g} leaves fold {k} without both labels")
        rows = self.rows | {"train": self.rows["train"].take(index)}
        return replace(self, rows=rows, label=self.label | {"train": label}, fold=fold)

    def train(
        self,
        key: Key,
        progress: Progress,
        each_epoch: EachEpoch,
        resume: FitCheckpointer | None = None,
    ) -> tuple[Network, FitReport, int, np.ndarray | None]:
        """A trained network, how that went, on how many rows, and the row_ids of the held ones.

        Raises FloatingPointError when the training diverges; InputError where the state to go on
        from is of something else.
        """
        model, seed, fold = key
        s, network = self.settings.networks[model], self.network(model, seed)
        train, label, held, held_label, held_ids = self._split(fold, s.max_len)
        kept = {} if resume is None else {"state": resume.load(), "save": resume.save}
        try:
            report = fit(
                network, train, label, held, held_label, s.fit, seed=seed, score=auc,
                progress=progress, each_epoch=each_epoch, **kept,
            )  # fmt: skip
        except CheckpointMismatch as error:
            raise InputError(
                f"{resume.path} is no state of this fit ({error}); delete it, or add --force"
            ) from None
        return network, report, len(train), held_ids

    def predict(self, network: Network, split: str, s: NetworkSettings) -> Tensor:
        """Logits (N,) of valid or test. Raises FloatingPointError when one is not finite."""
        logits = predict(network, self.rows[split].cut(s.max_len))
        if not torch.isfinite(logits).all():
            raise FloatingPointError(f"logits of {split} are not finite")
        return logits

    def _split(
        self, fold: int, max_len: int
    ) -> tuple[Rows | StreamRows, Tensor | DiskArray, Rows | StreamRows, Tensor, np.ndarray | None]:
        """Rows and labels to train on, rows and labels that judge, and the latter's row_ids."""
        rows, label = self.rows["train"].cut(max_len), self.label["train"]
        held = self.rows["valid"].cut(max_len)
        if fold == OFFICIAL:
            return rows, label, held, _labels(held, self.label["valid"]), None
        if isinstance(rows, StreamRows):
            inside = rows.where(lambda start, stop: self.fold.read(start, stop) != fold)
            held = rows.where(lambda start, stop: self.fold.read(start, stop) == fold)
            return inside, label, held, _labels(held, label), held.positions()
        inside = (self.fold != fold).nonzero().squeeze(1)
        held = (self.fold == fold).nonzero().squeeze(1)
        return rows.take(inside), label[inside], rows.take(held), label[held], held.cpu().numpy()

    def loaded(self, split: str) -> tuple[Rows, Tensor]:
        """All rows of train or valid and their labels, in memory."""
        rows, label = self.rows[split], self.label[split]
        if isinstance(rows, StreamRows):
            return rows.load(), _labels(rows, label)
        return rows, label


def _labels(rows: Rows | StreamRows, label: Tensor | DiskArray) -> Tensor:
    """The labels (N,) float32 of `rows`, in memory."""
    if isinstance(rows, StreamRows):
        return torch.from_numpy(rows.pick(label).astype(np.float32))
    return label


def fold_column(path: Path) -> DiskArray:
    """The fold of every train row, int8, on disk. Raises InputError where it is not there."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing, which train.rows=stream reads: an earlier version wrote this"
            " folder; write it again with python -m pipeline.20_folds and --force"
        )
    return DiskArray.of(np.load(path, mmap_mode="r", allow_pickle=False))


def check_memory(s: Settings, device: torch.device) -> None:
    """Raises InputError where train.memory may not hold a batch of one of the networks."""
    for model, network in s.networks.items():
        batch = max(network.fit.batch_size, PREDICTED_AT_ONCE[device.type])
        needed = -(-min_memory(batch, network.max_len) >> 20)
        if s.train.memory < needed:
            raise InputError(
                f"train.memory={s.train.memory} (MiB) may not hold what batches of {batch} rows of"
                f" {model} need: set train.memory={needed} or more"
            )


def item_table(items: Items, s: NetworkSettings, model: str) -> ItemTable:
    """The store's item table as tensors; raises InputError when it lacks what `s` asks for."""
    if s.item_levels and items.likes is None:
        raise InputError(
            f"{model}.item_levels = true needs the items' levels, and this store has none:"
            " put item_feature.parquet beside the other files"
        )
    if s.item_codes and items.codes is None:
        raise InputError(
            f"{model}.item_codes = true needs semantic codes, and this store has none:"
            " have them fitted with prepare.codes=3"
        )
    arrays = {name: getattr(items, name) for name in ("tags", "content", "likes", "views", "codes")}
    tensors = {n: None if a is None else tensor(a) for n, a in arrays.items()}
    n_codes = 0 if items.codes is None else int(items.codes.max()) + 1
    return ItemTable(**tensors, n_tags=int(items.tags.max()) + 1, n_codes=n_codes)


def stay_on_host(wanted: str, rows: dict[str, Rows], device: torch.device) -> bool:
    """Whether the rows stay on the host: as set, or because they would fill half of the device."""
    if wanted != "auto" or device.type == "cpu":
        return wanted == "host"
    free, _ = torch.cuda.mem_get_info(device)
    needed = sum(split.n_bytes for split in rows.values())
    if 2 * needed > free:
        say = f"rows ({needed / 2**30:.1f} GiB) stay on the host: the device has {free / 2**30:.1f}"
        print(f"50_train {say} GiB free", flush=True)
    return 2 * needed > free
