"""The fits' logits as tables: mean over folds and seeds, and out of fold."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from cv.oof import assemble
from features.slates import slate_numbers
from features.store.store import Split, Store
from pipeline.graph import FitKey

Fits = dict[FitKey, Path]  # -> folder of 50_train
SUBMITTED = "probability"  # the column of test.parquet that 70_submit submits


def mean_logits(store: Store, fits: Fits) -> dict[str, pl.DataFrame]:
    """valid (row_id, user_id, slate, label), test (ID, user_id, slate), and logits per model.

    A model's logit is the mean over its folds and seeds, float64. Where there are several seeds,
    the mean over the folds of each stands beside it, as <model>-seed<s>; where there are folds, so
    does each fit, float32, as `fit_column` names it.
    """
    valid, test = store.valid, store.test
    row_id, label = np.arange(len(valid)), np.asarray(valid.label)
    tables = {
        "valid": pl.DataFrame({"row_id": row_id, **decisions(valid), "label": label}),
        "test": pl.DataFrame({"ID": np.asarray(test.id), **decisions(test)}),
    }
    for name, rows in tables.items():
        ids = rows[rows.columns[0]]
        single = {key: _logits(path / f"{name}.parquet", ids) for key, path in fits.items()}
        tables[name] = with_logits(rows, single)
    return tables


def with_logits(rows: pl.DataFrame, single: Mapping[FitKey, pl.Series]) -> pl.DataFrame:
    """`rows` with the columns of logits that `mean_logits` describes; `single`: Float64, by fit."""
    logits = {
        model_and_seed: mean([single[key] for key in keys])
        for model_and_seed, keys in _by_seed(single).items()
    }
    columns = _columns(logits)
    columns |= {
        fit_column(*key): one.cast(pl.Float32) for key, one in single.items() if key[2] >= 0
    }
    return rows.with_columns(**columns)


def fit_column(model: str, seed: int, fold: int) -> str:
    """The column of one fit's logits."""
    return f"{model}-seed{seed}-fold{fold}"


def of_fold(rows: pl.DataFrame, fits: Iterable[FitKey], fold: int) -> dict[str, np.ndarray]:
    """The logits (N,) float64 of every model by its fits of one fold: the mean over its seeds.

    So are the out-of-fold logits of the train rows of this fold.
    """
    keys = [key for key in fits if key[2] == fold]
    return {
        model: mean(
            [rows[fit_column(*key)].cast(pl.Float64) for key in keys if key[0] == model]
        ).to_numpy()
        for model in models_of(fits)
    }


def out_of_fold(store: Store, folds: Path, fits: Fits) -> pl.DataFrame:
    """row_id, fold, user_id, slate, label, last of the train rows, and logits out of fold.

    last says whether the row belongs to the user's last event: no row of the user has a longer
    history. The columns of logits are the means of `mean_logits`, over fits that did not see the
    row.
    """
    rows = pl.read_parquet(folds / "folds.parquet", glob=False).sort("row_id")
    train = store.train
    rows = rows.with_columns(
        **decisions(train),
        label=pl.Series(np.asarray(train.label)),
        length=np.diff(store.offsets)[np.asarray(train.history)],
    )
    is_last = pl.col("length") == pl.col("length").max().over("user_id")
    rows = rows.with_columns(last=is_last).drop("length")
    logits = {}
    for model_and_seed, keys in _by_seed(fits).items():
        held_out = [pl.read_parquet(fits[key] / "held.parquet", glob=False) for key in keys]
        assembled = assemble(held_out, rows["row_id"].to_numpy())
        logits[model_and_seed] = assembled["logit"].cast(pl.Float64)
    return rows.with_columns(**_columns(logits))


def decisions(split: Split) -> dict[str, np.ndarray]:
    """Whose rows they are, and which rows are candidates of one decision."""
    return {"user_id": np.asarray(split.user), "slate": slate_numbers(split)}


def models_of(fits: Iterable[FitKey]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for model, _, _ in fits))


def single_seeds(fits: Iterable[FitKey], model: str) -> dict[int, str]:
    """The column of every seed of a model; empty where there is only one seed."""
    seeds = [seed for m, seed in _by_seed(fits) if m == model]
    return {seed: f"{model}-seed{seed}" for seed in seeds} if len(seeds) > 1 else {}


def mean(logits: list[pl.Series]) -> pl.Series:
    return sum(logits[1:], start=logits[0]) / len(logits)


def _by_seed(fits: Iterable[FitKey]) -> dict[tuple[str, int], list[FitKey]]:
    """The fits of every model and seed: one per fold."""
    by_seed: dict[tuple[str, int], list[FitKey]] = {}
    for key in fits:
        by_seed.setdefault(key[:2], []).append(key)
    return by_seed


def _columns(logits: dict[tuple[str, int], pl.Series]) -> dict[str, pl.Series]:
    """The mean of every model over its seeds; then the single seeds, where there are several."""
    models = dict.fromkeys(model for model, _ in logits)
    means = {m: mean([v for (model, _), v in logits.items() if model == m]) for m in models}
    if len(means) == len(logits):
        return means
    return means | {f"{model}-seed{seed}": logit for (model, seed), logit in logits.items()}


def _logits(path: Path, ids: pl.Series) -> pl.Series:
    """Logits of one fit in the order of `ids`; every id exactly once."""
    table = pl.read_parquet(path, glob=False)
    wanted = pl.DataFrame({table.columns[0]: ids})
    joined = wanted.join(
        table, on=table.columns[0], how="left", validate="1:1", maintain_order="left"
    )
    if joined["logit"].null_count() or len(table) != len(wanted):
        raise ValueError(f"{path} holds {len(table)} rows that are not the {len(wanted)} expected")
    return joined["logit"].cast(pl.Float64)
