"""Where the rows of a run lie while fits read them, as train.rows says.

device  in the memory of the network's device
host    in the host's memory; each batch is copied to the device
stream  on disk, read a window at a time within train.memory
auto    device, or host where the rows would fill half of a GPU's free memory
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from features import column_codes
from features.errors import InputError
from features.prefixes import open_prefixes
from features.store.store import Split, Store
from models.batches.disk_array import DiskArray
from models.batches.rows import Rows
from models.batches.source import RowSource, RowValues
from models.batches.stream import StreamRows, min_memory
from models.training.fit import PREDICT_ROWS
from pipeline.config.choices import NO_PREFIXES
from pipeline.config.settings import Settings
from pipeline.graph import OFFICIAL
from pipeline.training.prefix_rows import PrefixRows

LABELED = ("train", "valid")


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """The rows of a run by split, with their columns where the rows are.

    rows   of train, valid and test; with columns, where a network has any, the train rows alone:
           those of valid and test depend on the fit
    label  of train and valid: (N,) float32; on disk uint8
    fold   of the train rows: (N,) int8
    part   of the train rows: (N,) int8; None where no users are set apart to choose epochs
    prefixes  further rows to train on; None where there are none
    """

    rows: dict[str, RowSource]
    label: dict[str, RowValues]
    fold: RowValues
    part: RowValues | None
    prefixes: PrefixRows | None = None


def place_rows(
    settings: Settings, store: Store, inputs: Mapping[str, Path], device: torch.device
) -> PlacedRows:
    """The rows of `store` and of the folders `inputs` (graph.training_inputs).

    Raises InputError where train.memory may be too small, the folds' column is missing, or a
    network needs slates of rows on disk, or prefixes beside them.
    """
    if settings.train.rows == "stream":
        refuse_slates(settings)
        if "prefixes" in inputs:
            raise InputError(f"fit.prefixes: {NO_PREFIXES}")
        codes = train_codes(inputs)
        check_memory(settings, device, 0 if codes is None else codes.shape[1])
        return _on_disk(settings, store, inputs["folds"], codes)
    return _in_memory(settings, store, inputs, device)


def train_codes(inputs: Mapping[str, Path]) -> np.ndarray | None:
    """The codes (N, C) of the train rows, mapped; None where no network reads any."""
    folder = inputs.get("features")
    return None if folder is None else column_codes.load(folder, "train", OFFICIAL)


def splits_of(store: Store) -> dict[str, Split]:
    return {"train": store.train, "valid": store.valid, "test": store.test}


def number_of_users(store: Store) -> int:
    """Rows of a table of users: one for every id up to the largest of all splits."""
    return 1 + max(DiskArray.of(split.user).max() for split in splits_of(store).values())


def _on_disk(
    settings: Settings, store: Store, folds_folder: Path, codes: np.ndarray | None
) -> PlacedRows:
    splits, memory = splits_of(store), settings.train.memory << 20
    max_len = store.manifest["found"]["width"]
    shared = store.values, store.offsets, len(store.items), max_len, memory
    rows = {name: StreamRows.of_split(split, *shared) for name, split in splits.items()}
    return PlacedRows(
        rows=rows | {"train": rows["train"].with_columns(codes)},
        label={name: DiskArray.of(splits[name].label) for name in LABELED},
        fold=fold_column(folds_folder / "fold.npy"),
        part=fold_column(folds_folder / "part.npy") if settings.chooses_by_stop_users else None,
    )


def _in_memory(
    settings: Settings, store: Store, inputs: Mapping[str, Path], device: torch.device
) -> PlacedRows:
    splits, max_len = splits_of(store), store.manifest["found"]["width"]
    shared = store.values, store.offsets, len(store.items), max_len
    on_cpu = {name: Rows.of_split(split, *shared) for name, split in splits.items()}
    opened = open_prefixes(inputs["prefixes"]) if "prefixes" in inputs else None
    if opened is not None:
        on_cpu["prefixes"] = on_cpu["train"].beside(opened.split, opened.begin, opened.end)
    if "prefix_codes" in inputs:
        codes = column_codes.load_prefixes(inputs["prefix_codes"])
        on_cpu["prefixes"] = on_cpu["prefixes"].with_columns(codes)
    on_cpu["train"] = on_cpu["train"].with_columns(train_codes(inputs))
    on_host = stay_on_host(settings.train.rows, on_cpu, device)
    home = torch.device("cpu") if on_host else device
    label = {name: np.array(splits[name].label, np.float32) for name in LABELED}
    rows = {name: replace(split.to(home), on_host=on_host) for name, split in on_cpu.items()}
    folds = pl.read_parquet(inputs["folds"] / "folds.parquet", glob=False).sort("row_id")
    placed = PlacedRows(
        rows={name: rows[name] for name in splits},
        label={name: torch.from_numpy(values).to(home) for name, values in label.items()},
        fold=torch.tensor(folds["fold"].to_numpy(), device=home),
        part=torch.tensor(folds["part"].to_numpy(), device=home) if "part" in folds else None,
    )
    if opened is None:
        return placed
    beside = replace(rows["prefixes"], values=rows["train"].values)  # one copy on a GPU, too
    return replace(placed, prefixes=PrefixRows.of(opened, beside, placed.fold, placed.part))


def fold_column(path: Path) -> DiskArray:
    """A column of 20_folds, of every train row, on disk. Raises InputError where it is missing."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing, which train.rows=stream reads: an earlier version wrote this"
            " folder; write it again with python -m pipeline.20_folds and --force"
        )
    return DiskArray.of(np.load(path, mmap_mode="r", allow_pickle=False))


def refuse_slates(settings: Settings) -> None:
    """Raises InputError where a network trains on slates, whose rows may be in other windows."""
    for model, network in settings.networks.items():
        if network.fit.loss == "listwise":
            raise InputError(
                f"train.rows=stream reads a window at a time, and {model}.fit.loss=listwise needs"
                " whole slates: set train.rows=auto, or another loss"
            )


def check_memory(settings: Settings, device: torch.device, n_codes: int) -> None:
    """Raises InputError where train.memory may not hold a batch of one of the networks.

    n_codes  of a row, for networks that read columns
    """
    for model, network in settings.networks.items():
        batch = max(network.fit.batch_size, PREDICT_ROWS[device.type])
        of_row = n_codes if network.columns else 0
        needed = -(-min_memory(batch, network.max_len, of_row) >> 20)
        if settings.train.memory < needed:
            raise InputError(
                f"train.memory={settings.train.memory} (MiB) may not hold what batches of {batch}"
                f" rows of {model} need: set train.memory={needed} or more"
            )


def stay_on_host(wanted: str, rows: dict[str, Rows], device: torch.device) -> bool:
    """Whether the rows stay on the host: as set, or because they would fill half of the device."""
    if wanted != "auto" or device.type == "cpu":
        return wanted == "host"
    free, _ = torch.cuda.mem_get_info(device)
    needed = sum(split.n_bytes for split in rows.values())
    if 2 * needed > free:
        sizes = f"rows take {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of the device are free"
        print(f"50_train keeps the rows on the host: {sizes}", flush=True)
    return 2 * needed > free
