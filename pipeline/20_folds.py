"""20_folds: which rows judge which fit, and which choose its epoch. Whole users
only.

reads   artifacts/<profile>/10_prepare/
writes  artifacts/<profile>/20_folds/<mode>-<hash>/
        folds.parquet: row_id, fold (-1: never held out; official valid
        judges), and part, unless folds.stop_users=0: among rows outside fold
        k, those of part k (modulo the number of parts) choose the epoch of its
        fits; fold.npy, part.npy: the same, for train.rows=stream
run     python -m pipeline.20_folds PROFILE
        [folds.n=5 folds.mode=kfold|official ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import numpy as np
import polars as pl

from cv.folds import grouped_folds, user_parts
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.blending import needs
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds


def work(s: Settings, force: bool) -> None:
    store = open_store(require(graph.store(s)))
    with_users = any(network.user_id for network in s.networks.values())
    needs.check_ids(store, with_users)  # also where the folds are up to date
    needs.check_distinct(store.test, with_users)
    write(s, force)


@builds(graph.folds)
def write(s: Settings, out: ArtifactWriter) -> dict:
    train = open_store(require(graph.store(s))).train
    if s.official:
        fold = np.full(len(train.user), graph.OFFICIAL, np.int8)
    else:
        fold = grouped_folds(train.user, train.label, s.folds.n, s.folds.seed)
        needs.check_stackers(train.user, train.label, fold)
    columns = {"fold": fold}
    if s.chooses_by_stop_users:
        parts = s.folds.stop_parts
        columns["part"] = user_parts(train.user, train.label, fold, parts, s.folds.seed)
    table = pl.DataFrame({"row_id": np.arange(len(fold)), **columns})
    table.write_parquet(out / "folds.parquet")
    for name, column in columns.items():
        np.save(out / f"{name}.npy", column, allow_pickle=False)
    users = len(np.unique(train.user))
    return {"rows": len(fold), "users": users, "folds": len(np.unique(fold))}


if __name__ == "__main__":
    cli.stage(__doc__, work)
