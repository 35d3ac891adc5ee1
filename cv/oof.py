"""Out-of-fold predictions: one finite logit per training row, from a model that did not see it."""

import numpy as np
import polars as pl


def assemble(parts: list[pl.DataFrame], row_ids: np.ndarray) -> pl.DataFrame:
    """The folds' predictions as one table (row_id int64, logit float), in the order of `row_ids`.

    parts    tables with row_id int64 and logit float32 or float64, one per fold
    row_ids  (N,) int64, distinct: every row that must have a prediction
    Raises ValueError with the number of missing, doubled, unknown and NaN (or null, infinite) rows
    and the first five of each.
    """
    rows = pl.concat([p.select("row_id", "logit") for p in parts], how="vertical_relaxed")
    wanted = pl.DataFrame({"row_id": row_ids}, schema={"row_id": pl.Int64})
    bad_rows = {
        "missing": wanted.join(rows, on="row_id", how="anti"),
        "doubled": rows.filter(pl.col("row_id").is_duplicated()).unique("row_id"),
        "unknown": rows.join(wanted, on="row_id", how="anti"),
        "NaN": rows.filter(~pl.col("logit").is_finite().fill_null(False)),
    }
    problems = [
        f"{len(bad)} {kind} (row_id {bad['row_id'].sort().head(5).to_list()})"
        for kind, bad in bad_rows.items()
        if len(bad)
    ]
    if problems:
        raise ValueError(
            f"expected one finite logit for each of {len(wanted)} rows; got {', '.join(problems)}"
        )
    return wanted.join(rows, on="row_id", how="left", validate="1:1", maintain_order="left")
