"""What 90_score does with rows: a checkpoint, rows and items to a file of probabilities."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from features.errors import InputError
from features.store import scoring_inputs
from features.store.atomic import atomic_file
from features.store.scoring_inputs import Scorable
from features.store.store import Items, open_store
from models.batches.rows import Rows
from models.network import Network
from models.settings import NetworkSettings
from models.training.fit import predict
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.inference.checkpoints import Checkpoint, open_fuxictr, open_ours
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import RowBars, progress_bar
from pipeline.training.item_tables import item_table

FORMATS = ("fuxictr", "ours")
NETWORK = ("checkpoint", "format", "items")
WORDS = {  # what is wanted -> the words that it needs, and those that it may have besides
    "out": ((*NETWORK, "rows"), ("settings",)),
    "export": (NETWORK, ("settings",)),
    "latency": (NETWORK, ("settings", "history")),
    "latency, of random weights": ((), ("history",)),
}
ENDINGS = {".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet}
ROWS_AT_ONCE = 65_536  # between two moves of the progress bar


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreArgs:
    """The words of the command line. One of `out`, `export` and `latency` says what is wanted."""

    checkpoint: Path | None
    format: str | None
    settings: Path | None
    rows: Path | None
    items: Path | None
    out: Path | None
    export: Path | None
    latency: list[str] | None  # names of networks with random weights; empty: all of them
    history: int | None
    device: str


def run(job: ScoreArgs) -> pl.DataFrame:
    """Score and write; returns what was written: ID int64, probability float64."""
    check_words(job)
    device, opened = pick_device(job.device, "--device"), open_checkpoint(job)
    given, items = read(job, opened)
    network = opened.network(item_table(items, opened.settings, "network"), given.width)
    histories = given.values, given.offsets
    rows = Rows.of_split(given.rows, *histories, len(items), opened.settings.max_len)
    with enough_memory(device, "90_score", "take the CPU, --device cpu, or fewer --rows at a time"):
        probability = score(network.to(device), rows.to(device))
    scored = pl.DataFrame({"ID": given.rows.id, "probability": probability})
    write(scored, job.out)
    return scored


def check_words(job: ScoreArgs) -> None:
    """Refuse what cannot work before anything is read."""
    wanted = next(word for word in WORDS if getattr(job, word) is not None)
    drawn = wanted == "latency" and job.checkpoint is None
    needed, read = WORDS["latency, of random weights" if drawn else wanted]
    given = {w for w in (*NETWORK, "rows", "settings", "history") if getattr(job, w) is not None}
    missing = ", ".join(f"--{word}" for word in needed if word not in given)
    unread = ", ".join(f"--{word}" for word in sorted(given - {*needed, *read}))
    if missing:
        raise InputError(f"--{wanted} needs {missing}")
    if unread:
        raise InputError(f"--{wanted} does not read {unread}" + " without --checkpoint" * drawn)
    if job.format == "fuxictr" and job.settings is None:
        raise InputError("--format fuxictr needs --settings, the JSON of its hyperparameters")
    if job.format == "ours" and job.settings is not None:
        raise InputError("--settings goes with --format fuxictr; ours stand beside the checkpoint")
    check_values(job)


def check_values(job: ScoreArgs) -> None:
    if job.out is not None and job.out.suffix not in ENDINGS:
        raise InputError(f"--out {job.out} must end in {' or '.join(ENDINGS)}")
    if job.export is not None and job.export.exists():
        raise InputError(f"--export {job.export} is there already; remove it, or name another")
    if job.latency and job.checkpoint is not None:
        raise InputError(f"--latency {' '.join(job.latency)}: no names beside --checkpoint")
    if job.history is not None and job.history < 0:
        raise InputError(f"--history {job.history} must be 0 or more")
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", job.device):
        raise InputError(f"--device {job.device} must be auto, cpu, cuda or cuda:<n>")
    if job.out is None and job.device not in ("auto", "cpu"):
        raise InputError(f"--device {job.device}: --export and --latency run on the CPU")


def open_checkpoint(job: ScoreArgs) -> Checkpoint:
    if job.format == "fuxictr":
        return open_fuxictr(job.checkpoint, job.settings)
    return open_ours(job.checkpoint)


def network_alone(job: ScoreArgs) -> tuple[Network, NetworkSettings]:
    """The checkpoint's network on its items, without any rows. Raises InputError."""
    opened = open_checkpoint(job)
    if job.items.is_dir():
        items = open_items(job.items, opened)
    else:
        check_item_info(job.items, opened)
        items = scoring_inputs.read_items(job.items, opened.known, RowBars())
    s = opened.settings
    return opened.network(item_table(items, s, "network"), s.max_len), s


def read(job: ScoreArgs, opened: Checkpoint) -> tuple[Scorable, Items]:
    """Rows and items, checked against the network's tables. Raises InputError."""
    known, bars = opened.known, RowBars()
    if job.items.is_dir():
        items = open_items(job.items, opened)
        return scoring_inputs.read(job.rows, None, known, bars), items
    check_item_info(job.items, opened)
    given = scoring_inputs.read(job.rows, job.items, known, bars)
    return given, given.items


def open_items(store: Path, opened: Checkpoint) -> Items:
    items = open_store(store).items
    check_store(store, items, opened)
    return items


def check_item_info(path: Path, opened: Checkpoint) -> None:
    """item_info must hold what the network reads, as it was trained on it."""
    if opened.settings.item_codes:
        raise InputError(
            f"the network reads semantic codes, which {path} does not hold; give the store"
            " that it was trained on: --items artifacts/<profile>/10_prepare/store-<hash>"
        )
    check_content(path, opened)


def check_store(folder: Path, items: Items, opened: Checkpoint) -> None:
    """A store's items are those that the network knows, as far as its tables can tell."""
    known = opened.known
    found = {
        "items": (len(items), known.n_items),
        "numbers in a content vector": (items.content.shape[1], known.content_width),
    }
    problems = [f"{n} {what}, expected {m}" for what, (n, m) in found.items() if n != m]
    tables = {"tags": known.n_tags}
    if opened.settings.item_codes:
        tables["codes"] = opened.table("item.code")[0]
    for name, n_rows in tables.items():
        ids = getattr(items, name)
        if ids is not None and ids.size and ids.max() >= n_rows:
            problems.append(f"{name} up to {ids.max()}, expected at most {n_rows - 1}")
    if problems:
        raise InputError(
            f"{folder} holds {'; '.join(problems)}, as the tables of {opened.path} have it"
        )
    if opened.store is None:
        return
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    if record.get("digest") == opened.store:
        return
    content = record.get("settings", {}).get("content", "given")
    if opened.settings.item_codes or opened.content != content:
        raise InputError(
            f"{folder} is not the store that {opened.path} was trained on, and its codes or content"
            " vectors mean something else; give that store"
        )
    say(f"{folder} is not the store that {opened.path} was trained on")


def check_content(item_info: Path, opened: Checkpoint) -> None:
    """item_emb_d128 must be what the network was trained on: a store may hold other vectors."""
    if opened.content != "given":
        raise InputError(
            f"{opened.path} was trained on prepare.content={opened.content}, which {item_info} does"
            " not hold; give the store that it was trained on: --items"
            " artifacts/<profile>/10_prepare/store-<hash>"
        )


def score(network: Network, rows: Rows) -> np.ndarray:
    """Click probabilities (N,) float64. Raises InputError when one is no number."""
    parts = torch.arange(len(rows), device=rows.device).split(ROWS_AT_ONCE)
    logits = [predict(network, rows.take(part)) for part in progress_bar(parts, "score")]
    probability = torch.cat(logits).double().sigmoid().cpu().numpy()
    n_bad = np.count_nonzero(np.isnan(probability))
    if n_bad:
        raise InputError(
            f"{n_bad} of {len(rows)} scores are no numbers: the weights are not finite"
        )
    return probability


def write(scored: pl.DataFrame, path: Path) -> None:
    """As `path` ends, under another name first; replaces what is there."""
    with atomic_file(path) as scratch:
        ENDINGS[path.suffix](scored, scratch)


def say(note: str) -> None:
    print(f"90_score note: {note}", flush=True)
