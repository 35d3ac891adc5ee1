"""30_features: tabular features of every row, for the stacker; fitted outside the row's own fold.

reads   artefacts/<profile>/10_prepare/, artefacts/<profile>/20_folds/
writes  artefacts/<profile>/30_features/features-<hash>/{train,valid,test}.parquet:
        row_id, user_id, item_id, then the columns of features/table.py
run     python -m pipeline.30_features PROFILE [key=value ...]
"""

import polars as pl
from threadpoolctl import threadpool_limits

from features import table
from features.store import open_store
from pipeline import command, places
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.features(s)

    def fill(out: Publication) -> dict:
        fold = pl.read_parquet(need(places.folds(s)) / "folds.parquet").sort("row_id")["fold"]
        with threadpool_limits(1):  # sums of matrix products depend on the number of threads
            tables = table.build(open_store(need(places.store(s))), fold.to_numpy())
        for name, rows in tables.items():
            rows.write_parquet(out / f"{name}.parquet")
        columns = len(tables["train"].columns) - 3
        return {"columns": columns, **{name: len(rows) for name, rows in tables.items()}}

    command.make(place, force, fill)


if __name__ == "__main__":
    command.stage(__doc__, work)
