"""What 60_blend submits: the stacker, on what each fold's fits and features say of a row."""

import numpy as np
import polars as pl

from cv.blenders import stacker
from features.table import KEYS
from pipeline import graph
from pipeline.config import load as load_config


def test_the_stacker_reads_one_folds_logits_and_features_at_a_time(first_run, overrides):
    s = load_config.load("sample", overrides)
    blend, features = graph.blend(s).path, graph.features(s).path
    text = (blend / "lightgbm.txt").read_text()
    rows = pl.read_parquet(blend / "test.parquet", glob=False)
    table = pl.read_parquet(features / "test.parquet", glob=False)
    scores, of_all_rows = [], []
    for k in range(s.folds.n):
        fits = [path for key, path in graph.fits(s).items() if key[2] == k]
        logits = [
            rows.select("ID")
            .join(
                pl.read_parquet(fit.path / "test.parquet", glob=False),
                on="ID",
                maintain_order="left",
            )["logit"]
            .to_numpy()
            for fit in fits
        ]
        fitted = pl.read_parquet(features / f"test-fold{k}.parquet", glob=False).drop(KEYS)
        for columns, into in ((table.with_columns(fitted), scores), (table, of_all_rows)):
            matrix = np.column_stack([*logits, columns.drop(KEYS).to_numpy()]).astype(np.float32)
            into.append(stacker.predict(text, matrix))
    np.testing.assert_allclose(rows["lightgbm"], np.mean(scores, 0), atol=1e-12)
    assert np.abs(np.mean(of_all_rows, 0) - np.mean(scores, 0)).max() > 1e-3
