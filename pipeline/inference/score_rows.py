"""Score any rows with a checkpoint: rows and items in, a file of probabilities out."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from features.errors import InputError
from features.store import scoring_inputs
from features.store.atomic import atomic_file
from features.store.scoring_inputs import ScoringInputs
from features.store.store import Items
from models.batches.rows import Rows
from models.network import Network
from models.training.fit import predict
from pipeline.inference.arguments import ScoreArgs
from pipeline.inference.checkpoints import Checkpoint, open_fuxictr, open_ours
from pipeline.inference.items import check_item_info, open_items, read_items
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import RowBars, progress_bar
from pipeline.training.item_tables import item_table

WRITERS = {".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet}
ROWS_AT_ONCE = 65_536  # between two moves of the progress bar


def run(args: ScoreArgs) -> pl.DataFrame:
    """The rows' ID int64 and probability float64, in their order. Raises InputError."""
    device, checkpoint = pick_device(args.device, "--device"), open_checkpoint(args)
    inputs, items = read(args, checkpoint)
    cfg = checkpoint.settings
    network = checkpoint.network(item_table(items, cfg, "network"), inputs.width)
    rows = Rows.of_split(inputs.rows, inputs.values, inputs.offsets, len(items), cfg.max_len)
    with enough_memory(device, "90_score", "take the CPU, --device cpu, or fewer --rows at a time"):
        probability = score(network.to(device), rows.to(device))
    return pl.DataFrame({"ID": inputs.rows.id, "probability": probability})


def open_checkpoint(args: ScoreArgs) -> Checkpoint:
    if args.format == "fuxictr":
        return open_fuxictr(args.checkpoint, args.settings)
    checkpoint = open_ours(args.checkpoint)
    if checkpoint.settings.columns:
        raise InputError(
            f"{checkpoint.path} reads the columns of 30_features (columns = true), which are"
            " computed from the train rows of its run, fold by fold: score rows with the run,"
            " python -m pipeline.90_score --run NAME --rows FILE --out FILE; it can be neither"
            " exported nor timed"
        )
    return checkpoint


def network_alone(args: ScoreArgs) -> tuple[Checkpoint, Network]:
    """The checkpoint and its network on its items, without any rows. Raises InputError."""
    checkpoint = open_checkpoint(args)
    cfg = checkpoint.settings
    items = item_table(read_items(args.items, checkpoint), cfg, "network")
    return checkpoint, checkpoint.network(items, cfg.max_len)


def read(args: ScoreArgs, checkpoint: Checkpoint) -> tuple[ScoringInputs, Items]:
    """Rows and items, checked against the network's tables. Raises InputError."""
    vocab, bars = checkpoint.vocab, RowBars()
    if args.items.is_dir():
        items = open_items(args.items, checkpoint)
        return scoring_inputs.read(args.rows, None, vocab, bars), items
    check_item_info(args.items, checkpoint)
    inputs = scoring_inputs.read(args.rows, args.items, vocab, bars)
    return inputs, inputs.items


def score(network: Network, rows: Rows) -> np.ndarray:
    """Click probabilities (N,) float64. Raises InputError where one is not a number."""
    parts = torch.arange(len(rows), device=rows.device).split(ROWS_AT_ONCE)
    logits = [
        predict(network, rows.take(part)) for part in progress_bar(parts, "parts of the rows")
    ]
    probability = torch.cat(logits).double().sigmoid().cpu().numpy()
    n_bad = np.count_nonzero(np.isnan(probability))
    if n_bad:
        raise InputError(
            f"{n_bad} of {len(rows)} scores are not numbers: the weights are not finite"
        )
    return probability


def write(scores: pl.DataFrame, path: Path) -> None:
    """In the format of the file's ending; replaces a file that is there."""
    with atomic_file(path) as scratch:
        WRITERS[path.suffix](scores, scratch)
