"""30_features: tabular features of every row, for the stacker and for networks
with columns; fitted outside the row's own fold.

reads   artifacts/<profile>/10_prepare/, artifacts/<profile>/20_folds/,
        artifacts/<profile>/25_prefixes/, for networks that train on prefixes
writes  artifacts/<profile>/30_features/features-<hash>/
        {train,valid,test}.parquet:
        row_id, user_id, item_id, then the columns of features/table.py
        {valid,test}-fold<k>.parquet: of these, the columns that are fitted,
        fitted outside fold k
        codes/: the same columns as networks read them, a byte for each value
        (features/column_codes.py): train.npy, {valid,test}-fold<k>.npy;
        borders.npy, of each fold; columns.json, their names
        in official mode, where no row is held out, no files of folds: all rows
        are described by all train rows. For networks with columns, train rows
        are described outside folds of whole users that are made here, and
        codes/ has {valid,test}.npy; without such networks there are no codes
        artifacts/<profile>/30_features/prefixes-<hash>/prefixes.npy: the codes
        of the rows of 25_prefixes, where a network with columns trains on them
run     python -m pipeline.30_features PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from cv.folds import folds_up_to
from features import coded_tables, column_codes, table
from features.errors import InputError
from features.prefixes import open_prefixes
from features.store.schema import SPLITS
from features.store.store import Split, open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds

OFFICIAL_FOLDS = 5  # of whole users, outside which train rows are described in official mode


def work(s: Settings, force: bool) -> None:
    readers = [name for name, network in s.networks.items() if network.columns]
    train = open_store(require(graph.store(s))).train
    if any(readers) and (folds_of(s, train) < 0).any():  # also where the features are up to date
        raise InputError(
            f"{', '.join(readers)}: columns = true reads features of train rows that are fitted on"
            " other users, and the users of train do not make two folds with both labels each: use"
            " more users, or name other networks, such as models=qin,din"
        )
    write(s, force)
    if graph.has_prefix_codes(s):
        write_prefixes(s, force)


@builds(graph.prefix_codes)
def write_prefixes(s: Settings, out: ArtifactWriter) -> dict:
    store = open_store(require(graph.store(s)))
    prefixes = open_prefixes(require(graph.prefixes(s)))
    fold, folder = folds_of(s, store.train), require(graph.features(s))
    with threadpool_limits(1):
        if s.official:  # the borders that were written are those of all rows
            train = pl.read_parquet(folder / "train.parquet", glob=False)
            borders = coded_tables.train_borders(train, fold)
        else:
            written = np.load(folder / column_codes.BORDERS, allow_pickle=False)
            borders = dict(zip(np.unique(fold).tolist(), written, strict=True))
        codes = coded_tables.coded_prefixes(store, borders, fold, prefixes)
    np.save(out / column_codes.PREFIXES, codes, allow_pickle=False)
    return {"rows": len(codes), "columns": codes.shape[1]}


@builds(graph.features)
def write(s: Settings, out: ArtifactWriter) -> dict:
    store = open_store(require(graph.store(s)))
    fold = folds_of(s, store.train)
    with threadpool_limits(1):  # sums of matrix products depend on the number of threads
        tables = table.build(store, fold, official=s.official)
    for name, rows in tables.items():
        rows.write_parquet(out / f"{name}.parquet")
    names = tables["train"].drop(table.KEYS).columns
    if graph.reads_columns(s) or not s.official:  # else train rows may know their own labels
        (out / column_codes.FOLDER).mkdir()
        for file, array in coded_tables.coded(tables, fold, s.official):
            np.save(out / file, array, allow_pickle=False)
        text = json.dumps({"names": names}) + "\n"
        (out / column_codes.NAMES).write_text(text, encoding="utf-8")
    return {"columns": len(names), **{name: len(tables[name]) for name in SPLITS}}


def folds_of(s: Settings, train: Split) -> np.ndarray:
    """The fold (N,) int8 outside which each train row is described; -1 where there is none."""
    rows = pl.read_parquet(require(graph.folds(s)) / "folds.parquet", glob=False)
    fold = rows.sort("row_id")["fold"].to_numpy()
    if not s.official or not graph.reads_columns(s):
        return fold
    made = folds_up_to(train.user, train.label, OFFICIAL_FOLDS, seed=0)
    return fold if made is None else made


if __name__ == "__main__":
    cli.stage(__doc__, work)
