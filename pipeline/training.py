"""The fits of 50_train: from the store's arrays to weights and logits on disk."""

import functools
import itertools
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from tqdm import tqdm

from cv.auc import auc
from features.errors import InputError
from features.store import Items, Store, open_store
from models import distributed, table
from models.column import Column
from models.fit import (
    PREDICTED_AT_ONCE,
    EachEpoch,
    FitReport,
    NotThisFit,
    Progress,
    fit,
    predict,
)
from models.items import ItemTable
from models.network import Network
from models.precision import resolve
from models.settings import NetworkSettings
from models.stream import StreamRows, least_memory, stream
from models.table import Rows
from pipeline import backends, command, devices, places, processes
from pipeline.artefacts import Place, Publication, need
from pipeline.memory import enough_memory
from pipeline.places import OFFICIAL
from pipeline.resuming import Resume
from pipeline.settings import Settings

Key = tuple[str, int, int]  # model, seed, fold


@dataclass(frozen=True)
class Fit:
    """One fit of 50_train, with all that another process needs to know of it."""

    settings: Settings
    key: Key
    place: Place
    store: Path
    folds: Path

    @property
    def name(self) -> str:
        return str(self.place.path)

    def resolved(self) -> "Fit":
        """With the paths that another machine knows the folders by."""
        place = replace(self.place, folder=self.place.folder.resolve())
        return replace(self, place=place, store=self.store.resolve(), folds=self.folds.resolve())


def run(fits: list[tuple[Settings, Key]], force: bool) -> None:
    """Train and publish `fits`, several at a time where that is quicker.

    On a CPU every core takes a fit of its own, with one thread: results then do not depend on how
    many cores there are, or on how many fits were left to do.
    """
    how = fits[0][0].train
    todo = _described(fits)
    if distributed.size() > 1:
        return _run_together(todo)
    if how.backend == "dask":
        slots, where = [], f"the workers of {how.scheduler}"
    else:
        device, slots = pick_device(how.device), devices.slots(how, len(fits))
        where = f"{device}, {len(slots)} at a time"
    print(f"50_train {len(fits)} fits on {where}", flush=True)
    parent = os.getpid() if how.backend == "loky" and len(slots) > 1 else None
    tasks = {fit.name: (fit, force, len(slots) == 1, parent) for fit in todo}
    done = backends.spread(_run_one, tasks, how, slots, todo[0].place.folder.parent)
    for _ in tqdm(done, desc="50_train fits", total=len(fits), disable=None, leave=False):
        pass


def _described(fits: list[tuple[Settings, Key]]) -> list[Fit]:
    described = []
    for s, group in itertools.groupby(fits, key=lambda fit: fit[0]):
        known, store, folds = places.fits(s), need(places.store(s)), need(places.folds(s))
        s = replace(s, networks=places.networks(s), train=replace(s.train, settings="given"))
        described += [Fit(s, key, known[key], store, folds) for _, key in group]
    return [fit.resolved() for fit in described] if s.train.backend == "dask" else described


def _run_together(todo: list[Fit]) -> None:
    """Train `todo` one after another, each with all processes of the team; the first publishes."""
    first = distributed.rank() == 0
    print(f"50_train {len(todo)} fits, each in {distributed.size()} processes", flush=True)
    for one in todo:
        torch.set_num_threads(one.settings.train.threads)
        with _enough_memory(one):
            bench = Workbench.open(one.settings, one.store, one.folds)
            if first:
                fill = functools.partial(bench.fit, one.key, progress=command.progress)
                command.make(one.place, True, fill)
            else:
                bench.fit(one.key, None, lambda batches, _: batches)


def _run_one(one: Fit, force: bool, alone: bool, parent: int | None) -> None:
    """One fit, in a worker of the process `parent` where there is one."""
    if parent is not None:
        processes.end_with(parent)
    torch.set_num_threads(one.settings.train.threads)
    progress = command.progress if alone else lambda batches, _: batches

    def fill(out: Publication) -> dict:
        if force:
            out.state.unlink(missing_ok=True)
        return bench.fit(one.key, out, progress)

    with _enough_memory(one):
        bench = Workbench.open(one.settings, one.store, one.folds)
        command.make(one.place, force, fill)


def _enough_memory(one: Fit) -> AbstractContextManager:
    """Where there is not, say what to lower."""
    model, seed, fold = one.key
    what = f"50_train {model} seed {seed} fold {fold}"
    remedy = f"lower {model}.fit.batch_size; then keep the rows on the host, train.rows=host"
    return enough_memory(pick_device(one.settings.train.device), what, remedy)


@dataclass(frozen=True)
class Workbench:
    """The rows of a run on one device, or on disk.

    rows   of train, valid and test
    label  of train and valid: (N,) float32, on disk uint8
    fold   of the train rows: (N,) int8
    """

    settings: Settings
    store: Store
    device: torch.device
    rows: dict[str, Rows] | dict[str, StreamRows]
    label: dict[str, Tensor] | dict[str, Column]
    fold: Tensor | Column

    @classmethod
    def open(cls, s: Settings, store_folder: Path, folds_folder: Path) -> "Workbench":
        s = replace(s, networks=places.networks(s))
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
                name: stream(split, *histories, n_items, width, memory)
                for name, split in splits.items()
            }
            label = {name: Column.of(splits[name].label) for name in ("train", "valid")}
            return cls(s, store, device, rows, label, fold_column(folds_folder / "fold.npy"))
        rows = {
            name: table.rows(split, store.values, store.offsets, n_items, width)
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
        n_users = 1 + max(Column.of(split.user).max() for split in (*splits, self.store.test))
        try:
            made = Network(s, item_table(self.store.items, s, model), n_users)
        except ValueError as error:
            raise InputError(f"{model}: {error}") from None
        return made.to(self.device)

    def of_users(self, share: float, seed: int) -> "Workbench":
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

    def fit(self, key: Key, out: Publication | None, progress: Progress) -> dict:
        """Train one model, write what 50_train publishes, return what its line says.

        Without `out` nothing is written: another process of the team does that.
        """
        model, seed, fold = key
        s, said = self.settings.networks[model], f"50_train {model} seed {seed} fold {fold}"
        resume = None  # each process of a team has its own dropout, and keeps nothing of it
        if distributed.size() == 1:
            resume = Resume(out, said, self.settings.train.save_every, self.device)
        try:
            network, report, n_rows, held_ids = self.train(
                key,
                progress=lambda items, what: progress(items, f"{model} {fold} {what}"),
                each_epoch=lambda epoch, record: _say(key, epoch, record),
                resume=resume,
            )
            logits = {name: self._predict(network, name, s) for name in ("valid", "test")}
        except FloatingPointError as error:
            if out is not None:
                out.state.unlink(missing_ok=True)  # it leads there again
            what, remedy = f"{model}, seed {seed}, fold {fold}", f"{model}.fit.learning_rate"
            raise InputError(f"{what}: {error}; lower {remedy}") from None
        if out is None:
            return {}
        torch.save(network.state_dict(), out / "model.pt")
        if fold != OFFICIAL:
            _write(out / "held.parquet", "row_id", held_ids, report.held_logits)
        ids = np.arange(len(self.store.valid)), np.asarray(self.store.test.id)
        _write(out / "valid.parquet", "row_id", ids[0], logits["valid"])
        _write(out / "test.parquet", "ID", ids[1], logits["test"])
        out.report = _report(report, n_rows) | {
            "device": str(self.device),
            "processes": distributed.size(),
            "precision": resolve(s.fit.precision, self.device),  # what auto came to
            "content": self.settings.prepare.content,
        }
        _warn(key, report, s)
        best = report.epochs[report.best_epoch - 1]
        return {
            "epochs": len(report.epochs),
            "best": report.best_epoch,
            "loss": f"{best['loss']:.4f}",
            "auc": f"{report.best_score:.5f}",
            "rows/s": out.report["rows_per_second"],
        }

    def train(
        self, key: Key, progress: Progress, each_epoch: EachEpoch, resume: Resume | None = None
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
        except NotThisFit as error:
            raise InputError(
                f"{resume.path} is no state of this fit ({error}); delete it, or add --force"
            ) from None
        return network, report, len(train), held_ids

    def _predict(self, network: Network, split: str, s: NetworkSettings) -> Tensor:
        """Logits (N,) of valid or test. Raises FloatingPointError when one is not finite."""
        logits = predict(network, self.rows[split].cut(s.max_len))
        if not torch.isfinite(logits).all():
            raise FloatingPointError(f"logits of {split} are not finite")
        return logits

    def _split(
        self, fold: int, max_len: int
    ) -> tuple[Rows | StreamRows, Tensor | Column, Rows | StreamRows, Tensor, np.ndarray | None]:
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


def _labels(rows: Rows | StreamRows, label: Tensor | Column) -> Tensor:
    """The labels (N,) float32 of `rows`, in memory."""
    if isinstance(rows, StreamRows):
        return torch.from_numpy(rows.pick(label).astype(np.float32))
    return label


def fold_column(path: Path) -> Column:
    """The fold of every train row, int8, on disk. Raises InputError where it is not there."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing, which train.rows=stream reads: an earlier version wrote this"
            " folder; write it again with python -m pipeline.20_folds and --force"
        )
    return Column.of(np.load(path, mmap_mode="r"))


def check_memory(s: Settings, device: torch.device) -> None:
    """Raises InputError where train.memory may not hold a batch of one of the networks."""
    for model, network in s.networks.items():
        batch = max(network.fit.batch_size, PREDICTED_AT_ONCE[device.type])
        needed = -(-least_memory(batch, network.max_len) >> 20)
        if s.train.memory < needed:
            raise InputError(
                f"train.memory={s.train.memory} (MiB) may not hold what batches of {batch} rows of"
                f" {model} need: set train.memory={needed} or more"
            )


def _say(key: Key, epoch: int, record: dict) -> None:
    """One plain line an epoch, where there is no terminal for a progress bar."""
    if not sys.stderr.isatty():
        model, seed, fold = key
        said = f"loss={record['loss']:.4f} auc={record['score']:.5f} ({record['seconds']:.0f} s)"
        print(f"50_train {model} seed {seed} fold {fold} epoch {epoch} {said}", flush=True)


def _warn(key: Key, report: FitReport, s: NetworkSettings) -> None:
    model, seed, fold = key
    remedy = f"{model}.fit.learning_rate"
    if s.interaction == "qnn":  # its authors saw four rows train unstably
        remedy += f" or {model}.qnn.rows"
    for epoch, before, after in rises(report):
        what = f"the training loss rose from {before:.4f} to {after:.4f} in epoch {epoch}"
        print(f"50_train {model} seed {seed} fold {fold}: unstable, {what}; lower {remedy}")


def rises(report: FitReport) -> list[tuple[int, float, float]]:
    """Epochs whose mean training loss stands above the one before by more than a fiftieth.

    The mean over an epoch hardly moves by chance, and falls as long as steps do what they should.
    """
    losses = [record["loss"] for record in report.epochs]
    pairs = enumerate(itertools.pairwise(losses), start=2)
    return [(epoch, before, after) for epoch, (before, after) in pairs if after > 1.02 * before]


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
    tensors = {n: None if a is None else table.tensor(a) for n, a in arrays.items()}
    n_codes = 0 if items.codes is None else int(items.codes.max()) + 1
    return ItemTable(**tensors, n_tags=int(items.tags.max()) + 1, n_codes=n_codes)


def _report(report: FitReport, n_rows: int) -> dict:
    seconds = sum(epoch["seconds"] for epoch in report.epochs)
    return {
        "best_epoch": report.best_epoch,
        "auc": report.best_score,
        "epochs": report.epochs,
        "rows_per_second": round(n_rows * len(report.epochs) / seconds),
    }


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


def pick_device(wanted: str, word: str = "train.device") -> torch.device:
    """The device that `word` asks for. Raises InputError where there is none."""
    if devices.HELD and wanted != "cpu":  # this process was handed a GPU, as its only one
        wanted = "cuda"
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise InputError(f"{word} = {wanted!r}, but torch sees {n_gpus} CUDA devices here")
    return device


def _write(path: Path, column: str, ids: np.ndarray, logits: Tensor) -> None:
    pl.DataFrame({column: ids, "logit": logits.cpu().numpy()}).write_parquet(path)
