"""20_folds: which rows judge which fit. Whole users only; or the official split.

reads   artefacts/<profile>/10_prepare/
writes  artefacts/<profile>/20_folds/<mode>-<hash>/folds.parquet: row_id, fold
        (fold -1: never held out; official valid judges); fold.npy: the same, for train.rows=stream
run     python -m pipeline.20_folds PROFILE [folds.n=5 folds.mode=kfold|official ...]
"""

import numpy as np
import polars as pl

from cv.folds import grouped_folds
from features.store import open_store
from pipeline import command, places
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.folds(s)

    def fill(out: Publication) -> dict:
        train = open_store(need(places.store(s))).train
        if s.official:
            fold = np.full(len(train.user), places.OFFICIAL, np.int8)
        else:
            fold = grouped_folds(train.user, train.label, s.folds.n, s.folds.seed)
        table = pl.DataFrame({"row_id": np.arange(len(fold)), "fold": fold})
        table.write_parquet(out / "folds.parquet")
        np.save(out / "fold.npy", fold, allow_pickle=False)
        users = len(np.unique(train.user))
        return {"rows": len(fold), "users": users, "folds": len(np.unique(fold))}

    command.make(place, force, fill)


if __name__ == "__main__":
    command.stage(__doc__, work)
