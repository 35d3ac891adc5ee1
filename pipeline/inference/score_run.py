"""Score any rows as a submission scored the test rows: all its fits, features, and its blender.

For the test rows themselves, in their order, on the device and with the threads of the fits, the
scores are those of the submission to the last digit: everything is read in the same batches. Other
rows in a batch, or another device, change the last digits of a logit.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import torch
from threadpoolctl import threadpool_limits

from cv.blenders.linear import RANK_MEAN
from cv.blenders.registry import BLENDERS_BY_NAME
from features import column_codes, table
from features.errors import InputError
from features.outputs import refuse_input
from features.store import scoring_inputs
from features.store.schema import INT32
from features.store.scoring_inputs import ModelVocab, ScoringInputs
from features.store.store import Store, open_store
from models.batches.rows import Rows
from models.training.determinism import make_deterministic
from models.training.fit import predict
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import record
from pipeline.blending import blenders, fitted, predictions
from pipeline.blending.predictions import SUBMITTED
from pipeline.graph import FitKey
from pipeline.inference import whole_slates
from pipeline.inference.arguments import ScoreArgs
from pipeline.inference.checkpoints import open_ours
from pipeline.inference.items import check_tables
from pipeline.inference.submitted import SubmittedRun, open_run
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import RowBars, progress_bar
from pipeline.training.item_tables import item_table
from pipeline.training.row_placement import number_of_users
from submissions.table import ID, SCORE


def run(args: ScoreArgs) -> pl.DataFrame:
    """The rows' ID int64 and Task2 float64, in their order. Raises InputError."""
    run, device = open_run(args.run), pick_device(args.device, "--device")
    if args.out is not None:
        refuse_input(args.out, run.folders)
    make_deterministic(device)
    store = open_store(run.store)
    inputs = read(args, run, store)
    if BLENDERS_BY_NAME[run.chosen].uses_slates:
        whole_slates.check(args.rows, run.name, inputs.rows, inputs.values, inputs.offsets, store)
    if run.chosen == RANK_MEAN.name:
        print(f"90_score {run.chosen}: a score is a rank among the rows of {args.rows}", flush=True)
    fold = (
        pl.read_parquet(run.folds / "folds.parquet", glob=False).sort("row_id")["fold"].to_numpy()
    )
    weights = fitted.read(run.blend_folder, run.blend, run.chosen)
    stacked = fitted.feature_names(weights, run.blend["models"])
    check_columns(run, stacked)
    folds = np.unique(fold).tolist()
    features: Iterable[pl.DataFrame] = table.by_fold(  # a fold's table is made when it is read
        store, fold, inputs.rows, inputs.values, inputs.offsets
    )
    codes: dict[int, np.ndarray] = {}
    if run.features is not None:
        with threadpool_limits(1):  # as in 30_features
            codes, features = encoded(run.features, folds, features, keep=bool(stacked))
    single = logits(run, store, inputs, device, codes)
    rows = pl.DataFrame({ID: inputs.rows.id, **predictions.decisions(inputs.rows)})
    rows = predictions.with_logits(rows, single)
    with threadpool_limits(1):
        by_fold = blenders.inputs_by_fold(
            rows, run.fits, folds, run.blend["models"], features if stacked else None
        )
        rows = blenders.add_blends(rows, by_fold, {run.chosen: weights}, run.chosen)
    return rows.select(ID, pl.col(SUBMITTED).alias(SCORE))


def read(args: ScoreArgs, run: SubmittedRun, store: Store) -> ScoringInputs:
    """The rows, checked against the run's item table and, where they are read, its users."""
    n_users = INT32 + 1
    if any(record(path)["settings"]["network"].get("user_id") for path in run.fits.values()):
        n_users = number_of_users(store)
    vocab = ModelVocab(
        n_items=len(store.items),
        n_tags=0,
        n_users=n_users,
        content_width=store.items.content.shape[1],
        item_levels=False,
        max_len=store.manifest["found"]["width"],
    )
    return scoring_inputs.read(args.rows, None, vocab, RowBars())


def check_columns(run: SubmittedRun, stacked: list[str]) -> None:
    """Raises InputError where this code has other columns than the run's networks or blender read.

    stacked  those of the blender; none where it reads none
    """
    read, ours = [stacked] if stacked else [], table.names()
    if run.features is not None:
        read.append(read_json(run.features / column_codes.NAMES)["names"])
    for names in read:
        if names != ours:
            differ = ", ".join(sorted({*names} ^ {*ours})) or "their order"
            raise InputError(
                f"{run.name} was trained on other columns of 30_features than this code makes"
                f" ({differ}): run it again, and score with the run that this prints"
            )


def encoded(
    folder: Path, folds: list[int], features: Iterable[pl.DataFrame], keep: bool
) -> tuple[dict[int, np.ndarray], list[pl.DataFrame]]:
    """The codes (N, C) of the columns, by fold, and the tables `features` themselves if `keep`.

    folder  of 30_features, with the borders of each fold
    """
    borders = np.load(folder / column_codes.BORDERS, allow_pickle=False)
    codes, kept = {}, []
    for k, rows, of_fold in zip(folds, features, borders, strict=True):
        codes[k] = column_codes.encode(table.values(rows), of_fold)
        if keep:
            kept.append(rows)
    return codes, kept


def logits(
    run: SubmittedRun,
    store: Store,
    inputs: ScoringInputs,
    device: torch.device,
    codes: Mapping[int, np.ndarray],
) -> dict[FitKey, pl.Series]:
    """Float64 logits (N,) of every fit, as 50_train predicts. Raises InputError.

    codes  of the columns (N, C), by fold
    """
    columns = inputs.rows, inputs.values, inputs.offsets, len(store.items), 1
    rows, found = Rows.of_split(*columns).to(device), {}
    reports = {key: record(path)["report"] for key, path in run.fits.items()}
    others = {report["device"].partition(":")[0] for report in reports.values()} - {device.type}
    if others:
        where = f"the fits were made on {others.pop()}; on {device.type}"
        print(f"90_score note: {where} the last digits of scores differ", flush=True)
    for key, path in progress_bar(list(run.fits.items()), "networks"):  # one network at a time
        checkpoint = open_ours(path)
        check_tables(run.store, store.items, checkpoint)
        torch.set_num_threads(reports[key].get("threads", 1))
        cfg = checkpoint.settings
        network = checkpoint.network(item_table(store.items, cfg, key[0]), inputs.width)
        read = rows.cut(cfg.max_len).with_columns(codes[key[2]] if cfg.columns else None)
        with enough_memory(device, "90_score", "take the CPU, --device cpu, or fewer --rows"):
            logit = predict(network.to(device), read).cpu().numpy()
        if not np.isfinite(logit).all():
            raise InputError(f"{checkpoint.path}: a logit is not finite; are its weights finite?")
        found[key] = pl.Series(logit).cast(pl.Float64)
    return found
