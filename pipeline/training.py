"""One fit of 50_train: from the store's arrays to weights and logits on disk."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from cv.auc import auc
from features.errors import InputError
from features.store import Store, open_store
from models import table
from models.fit import FitReport, fit, predict
from models.network import Network
from models.table import Rows
from pipeline import command
from pipeline.artefacts import Publication
from pipeline.places import OFFICIAL
from pipeline.settings import Settings


@dataclass(frozen=True)
class Bench:
    """The rows of a run on one device, laid out once for all its fits."""

    settings: Settings
    store: Store
    device: torch.device
    rows: dict[str, Rows]  # train, valid, test
    label: dict[str, Tensor]  # train, valid: (N,) float32
    fold: Tensor  # (N,) int8, of the train rows

    @classmethod
    def open(cls, s: Settings, store_folder: Path, folds_folder: Path) -> "Bench":
        store, device = open_store(store_folder), pick_device(s.train.device)
        if s.train.threads:
            torch.set_num_threads(s.train.threads)
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        splits = {"train": store.train, "valid": store.valid, "test": store.test}
        n_items = len(store.items.tags)
        rows = {
            name: table.rows(split, store.values, store.offsets, n_items).to(device)
            for name, split in splits.items()
        }
        label = {
            name: torch.from_numpy(np.array(splits[name].label, np.float32)).to(device)
            for name in ("train", "valid")
        }
        folds = pl.read_parquet(folds_folder / "folds.parquet").sort("row_id")
        return cls(
            s, store, device, rows, label, torch.tensor(folds["fold"].to_numpy(), device=device)
        )

    def network(self, model: str, seed: int) -> Network:
        """A freshly initialised network; the same for the same seed."""
        torch.manual_seed(seed)
        items = self.store.items
        tags, content = (
            torch.from_numpy(np.array(items.tags)),
            torch.from_numpy(np.array(items.content)),
        )
        made = Network(self.settings.networks[model], tags, content, int(items.tags.max()) + 1)
        return made.to(self.device)

    def fit(self, model: str, seed: int, fold: int, out: Publication) -> dict:
        """Train one model, write what 50_train publishes, return what its line says."""
        s = self.settings.networks[model]
        if fold == OFFICIAL:
            train, label = self.rows["train"], self.label["train"]
            held, held_label = self.rows["valid"], self.label["valid"]
        else:
            inside = (self.fold != fold).nonzero().squeeze(1)
            outside = (self.fold == fold).nonzero().squeeze(1)
            train, label = self.rows["train"].take(inside), self.label["train"][inside]
            held, held_label = self.rows["train"].take(outside), self.label["train"][outside]
        network, name = self.network(model, seed), out.path.name.split("-", 1)[0].strip(".")
        try:
            report = fit(
                network, train, label, held, held_label, s.fit,
                max_len=s.max_len, seed=seed, score=auc,
                progress=lambda batches, what: command.progress(batches, f"{name} {fold} {what}"),
            )  # fmt: skip
        except FloatingPointError as error:
            raise InputError(
                f"{model}, seed {seed}, fold {fold}: {error}; lower {model}.fit.learning_rate"
            ) from None
        torch.save(network.state_dict(), out / "model.pt")
        if fold != OFFICIAL:
            _write(out / "held.parquet", "row_id", outside, report.held_logits)
        for split, key in (("valid", "row_id"), ("test", "ID")):
            rows = self.rows[split]
            ids = (
                torch.arange(len(rows))
                if split == "valid"
                else torch.tensor(np.array(self.store.test.id))
            )
            _write(out / f"{split}.parquet", key, ids, predict(network, rows, s.max_len))
        out.report = _facts(report, len(train))
        return _line(report, len(train))


def pick_device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise InputError(f"train.device = {wanted!r} must be cpu, cuda, cuda:<n> or auto") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"train.device = {wanted!r}, but torch sees no CUDA device here; use cpu")
    return device


def _write(path: Path, key: str, ids: Tensor, logits: Tensor) -> None:
    columns = {key: ids.cpu().numpy(), "logit": logits.cpu().numpy()}
    pl.DataFrame(columns).write_parquet(path)


def _rows_per_second(report: FitReport, n_rows: int) -> int:
    return round(n_rows * len(report.epochs) / sum(e["seconds"] for e in report.epochs))


def _facts(report: FitReport, n_rows: int) -> dict:
    return {
        "best_epoch": report.best_epoch,
        "auc": report.best_score,
        "epochs": report.epochs,
        "rows_per_second": _rows_per_second(report, n_rows),
    }


def _line(report: FitReport, n_rows: int) -> dict:
    best = report.epochs[report.best_epoch - 1]
    return {
        "epochs": len(report.epochs),
        "best": report.best_epoch,
        "loss": f"{best['loss']:.4f}",
        "auc": f"{report.best_score:.5f}",
        "rows/s": _rows_per_second(report, n_rows),
    }
