"""Write prediction.csv and the zip to upload: both, or neither where the zip fails its check."""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from features.errors import InputError
from features.outputs import refuse_input
from features.store.atomic import atomic_file
from submissions.archive import NAME
from submissions.check import CheckReport, check, read_ids
from submissions.table import ID, SCORE

ARCHIVE = "submission.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's earliest date: equal scores give equal bytes
MAX_LISTED = 5  # IDs that an error names


def write_submission(folder: Path, scores: pl.DataFrame, test: Path) -> CheckReport:
    """Write `folder`/prediction.csv and `folder`/submission.zip; returns the zip's check.

    scores  ID int64, Task2 float in [0, 1], in any order; written with the digits that read back
            as the same float64
    test    test.parquet of the challenge: its IDs, in its order, are the rows of the submission
    Raises InputError where the IDs differ, or where the zip, opened again, does not pass `check`
    against the file `test`; neither file is written then.
    """
    for name in (NAME, ARCHIVE):
        refuse_input(folder / name, [test], "the submission")
    ids = read_ids(test)
    ordered, archive = in_order_of(ids, scores), folder / ARCHIVE
    with atomic_file(folder / NAME) as table, atomic_file(archive) as zipped:
        ordered.write_csv(table)
        _zip(table, zipped)
        report = check(zipped, ids)
        if report.errors:
            raise InputError("\n".join([f"{archive} would be refused:", *report.errors]))
    return report


def in_order_of(ids: np.ndarray, scores: pl.DataFrame) -> pl.DataFrame:
    """ID, Task2 float64 of the test rows `ids` (N,) int64, in their order, joined by ID.

    Raises InputError that names the IDs which `scores` lacks, repeats or has besides.
    """
    wanted, got = pl.Series(ID, ids), scores[ID]
    problems = {
        "no score for ID": wanted.filter(~wanted.is_in(got.implode())),
        "several scores for ID": got.filter(got.is_duplicated()).unique(maintain_order=True),
        "no test row for ID": got.filter(~got.is_in(wanted.implode(), nulls_equal=True)),
    }
    listed = [f"{problem} {_listed(found)}" for problem, found in problems.items() if len(found)]
    if listed:
        raise InputError(f"expected one score for each of {len(ids)} test IDs; {'; '.join(listed)}")
    joined = wanted.to_frame().join(
        scores, on=ID, how="left", validate="1:1", maintain_order="left"
    )
    return joined.select(ID, pl.col(SCORE).cast(pl.Float64))


def _listed(ids: pl.Series) -> str:
    first = ", ".join(str(one) for one in ids.head(MAX_LISTED))
    more = len(ids) - MAX_LISTED
    return f"{first} and {more} more" if more > 0 else first


def _zip(table: Path, archive: Path) -> None:
    entry = zipfile.ZipInfo(NAME, date_time=EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, whatever this runs on
    entry.external_attr = 0o644 << 16
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(entry, table.read_bytes())
