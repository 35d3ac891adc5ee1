"""30_features: tabular features of every row, for the stacker; fitted outside the
row's own fold.

reads   artifacts/<profile>/10_prepare/, artifacts/<profile>/20_folds/
writes  artifacts/<profile>/30_features/features-<hash>/
        {train,valid,test}.parquet:
        row_id, user_id, item_id, then the columns of features/table.py
        {valid,test}-fold<k>.parquet: of these, the columns that are fitted,
        fitted outside fold k
run     python -m pipeline.30_features PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import polars as pl
from threadpoolctl import threadpool_limits

from features import table
from features.store.schema import SPLITS
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds


@builds(graph.features)
def work(s: Settings, out: ArtifactWriter) -> dict:
    rows = pl.read_parquet(require(graph.folds(s)) / "folds.parquet", glob=False)
    fold = rows.sort("row_id")["fold"]
    with threadpool_limits(1):  # sums of matrix products depend on the number of threads
        tables = table.build(open_store(require(graph.store(s))), fold.to_numpy())
    for name, rows in tables.items():
        rows.write_parquet(out / f"{name}.parquet")
    columns = len(tables["train"].columns) - 3
    return {"columns": columns, **{name: len(tables[name]) for name in SPLITS}}


if __name__ == "__main__":
    cli.stage(__doc__, work)
