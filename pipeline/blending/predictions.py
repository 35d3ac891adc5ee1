"""The fits' logits as tables: mean over folds and seeds, and out of fold."""

from pathlib import Path

import numpy as np
import polars as pl

from cv.oof import assemble
from features.store.store import Store

Fits = dict[tuple[str, int, int], Path]  # (model, seed, fold) -> folder of 50_train
SUBMITTED = "probability"  # the column of test.parquet that 70_submit submits


def mean_logits(store: Store, fits: Fits) -> dict[str, pl.DataFrame]:
    """valid (row_id, user_id, label), test (ID, user_id), each with a column of logits per model.

    A model's logit is the mean over its folds and seeds, float64. Where there are several seeds,
    the mean over the folds of each stands beside it, as <model>-seed<s>.
    """
    valid, test = store.valid, store.test
    row_id, label = np.arange(len(valid)), np.asarray(valid.label)
    tables = {
        "valid": pl.DataFrame(
            {"row_id": row_id, "user_id": np.asarray(valid.user), "label": label}
        ),
        "test": pl.DataFrame({"ID": np.asarray(test.id), "user_id": np.asarray(test.user)}),
    }
    for name, rows in tables.items():
        ids = rows[rows.columns[0]]
        logits = {
            (model, seed): mean([_logits(fits[key] / f"{name}.parquet", ids) for key in keys])
            for (model, seed), keys in _by_seed(fits).items()
        }
        tables[name] = rows.with_columns(**_columns(logits))
    return tables


def out_of_fold(store: Store, folds: Path, fits: Fits) -> pl.DataFrame:
    """row_id, fold, user_id, label of the train rows, and logits of fits that did not see them.

    The columns of logits are those of `mean_logits`.
    """
    rows = pl.read_parquet(folds / "folds.parquet", glob=False).sort("row_id")
    rows = rows.with_columns(
        user_id=pl.Series(np.asarray(store.train.user)),
        label=pl.Series(np.asarray(store.train.label)),
    )
    logits = {}
    for model_and_seed, keys in _by_seed(fits).items():
        held_out = [pl.read_parquet(fits[key] / "held.parquet", glob=False) for key in keys]
        assembled = assemble(held_out, rows["row_id"].to_numpy())
        logits[model_and_seed] = assembled["logit"].cast(pl.Float64)
    return rows.with_columns(**_columns(logits))


def models_of(fits: Fits) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for model, _, _ in fits))


def single_seeds(fits: Fits, model: str) -> dict[int, str]:
    """The column of every seed of a model; empty where there is only one seed."""
    seeds = [seed for m, seed in _by_seed(fits) if m == model]
    return {seed: f"{model}-seed{seed}" for seed in seeds} if len(seeds) > 1 else {}


def mean(logits: list[pl.Series]) -> pl.Series:
    return sum(logits[1:], start=logits[0]) / len(logits)


def _by_seed(fits: Fits) -> dict[tuple[str, int], list[tuple[str, int, int]]]:
    """The fits of every model and seed: one per fold."""
    by_seed: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
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
