"""Write prediction.csv and the zip to upload; what fails the checker is not left behind."""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from features.errors import InputError
from submissions.archive import NAME
from submissions.check import ID, SCORE, check

ARCHIVE = "submission.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's earliest date: equal scores give equal bytes


def write_submission(folder: Path, ids: np.ndarray, score: np.ndarray) -> Path:
    """Write `folder`/prediction.csv and `folder`/submission.zip; returns the path of the zip.

    ids    (N,) int64, the IDs of the test rows in their order
    score  (N,) float, in [0, 1]; written with the digits that read back as the same float64
    Raises InputError, and removes both files, when the zip, opened again, does not pass `check`.
    """
    if ids.ndim != 1 or ids.shape != score.shape:
        raise InputError(f"ids and scores must both be (N,); got {ids.shape} and {score.shape}")
    folder.mkdir(parents=True, exist_ok=True)
    table, archive = folder / NAME, folder / ARCHIVE
    pl.DataFrame({ID: ids, SCORE: score.astype(np.float64)}).write_csv(table)
    _zip(table, archive)
    errors = check(archive, ids).errors
    if errors:
        table.unlink()
        archive.unlink()
        raise InputError("\n".join([f"{archive} would be refused:", *errors]))
    return archive


def _zip(table: Path, archive: Path) -> None:
    entry = zipfile.ZipInfo(NAME, date_time=EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, whatever this runs on
    entry.external_attr = 0o644 << 16
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(entry, table.read_bytes())
