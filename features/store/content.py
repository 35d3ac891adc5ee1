"""Content vectors: principal components of what is known of the items, in rows by item id.

The challenge gives BERT's and CLIP's vectors of an item side by side, reduced to 128 numbers by PCA
(item_emb_d128). `rebuild` makes such vectors again, out of the raw ones in item_feature:

    joint_pca      one PCA of both side by side: the challenge's recipe
    modality_pca   a PCA of each, half of the width each, side by side (arXiv 2504.18961, V4)

Neither source publishes its scaling. Here every raw number is standardised over the items first, so
that no modality weighs more by its unit, and a PCA's vectors are scaled by one factor to a mean
squared length of 1 (the halves of modality_pca: 1/2 each). The length matters: bench/RESULTS.md.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from features.errors import InputError
from features.settings import PrepareSettings
from features.store import parquet
from features.store.parquet import ProgressCallback
from features.store.schema import FLOATS, MODALITIES, ColumnSpec
from features.store.validators import Violations

FILE = "item_feature.parquet"
ROWS_AT_ONCE = 4096  # of vectors a thousand wide
COLUMNS_AT_ONCE = 64  # StandardScaler takes twice their memory besides


class RawVectors(NamedTuple):
    """Text and image vectors of item_feature's rows, side by side."""

    values: np.ndarray  # (N, width of both) float32
    text_width: int


def read(
    file: pq.ParquetFile | None,
    content: str,
    violations: Violations,
    progress: ProgressCallback | None,
) -> RawVectors | None:
    """What `content` is made of; None where that is nothing, or cannot be had (see violations)."""
    if content == "given":
        return None
    names = file.schema_arrow.names if file else []
    absent = [name for name in MODALITIES if name not in names]
    for name in absent:
        found = f"columns {parquet.names(file.schema_arrow)}" if file else "no file to read it from"
        expected = f"what prepare.content={content} is made of, or prepare.content=given"
        violations.add(FILE, name, expected, found)
    columns = [_column(file, name, violations) for name in MODALITIES] if not absent else [None]
    if None in columns:
        return None
    text, image = columns
    values = np.empty((file.metadata.num_rows, text.width + image.width), np.float32)
    _fill(values[:, : text.width], file, text, violations, progress)
    _fill(values[:, text.width :], file, image, violations, progress)
    return RawVectors(values, text.width)


def _column(file: pq.ParquetFile, name: str, violations: Violations) -> ColumnSpec | None:
    """A column of vectors, its width that of most lists in the first batch; None: not usable."""
    column = ColumnSpec(name=name, kind=FLOATS, dtype=np.float32)
    if not parquet.usable_columns(FILE, file, (column,), violations):
        return None
    for _, batch in parquet.read_batches(FILE, file, [name], violations, ROWS_AT_ONCE):
        width = parquet.commonest_length(batch[name])
        if 0 < width <= parquet.WIDEST:
            return replace(column, width=width)
        expected = f"lists of 1 to {parquet.WIDEST} numbers"
        violations.add(FILE, name, expected, f"lists of {width}")
        break
    return None


def _fill(
    values: np.ndarray,
    file: pq.ParquetFile,
    column: ColumnSpec,
    violations: Violations,
    progress: ProgressCallback | None,
) -> None:
    """Read a column, checked, into its place (N, width)."""
    report = violations.column(FILE, column.name)
    for start, batch in parquet.read_batches(FILE, file, [column.name], violations, ROWS_AT_ONCE):
        rows, vectors = parquet.read_column(column, batch[column.name], start, report)
        with np.errstate(over="ignore"):  # reported, and then nothing is kept
            values[rows] = vectors
        if progress:
            progress(f"{FILE} {column.name}", start + len(batch), len(values))


def rebuild(
    settings: PrepareSettings, raw: RawVectors, ids: np.ndarray, n_items: int
) -> np.ndarray:
    """float32 (n_items, content_width): content of the items `ids` (N,), zeros for all others.

    Overwrites `raw`. Raises InputError where it has fewer components than asked for.
    """
    joint = settings.content == "joint_pca"
    parts = [raw.values] if joint else np.split(raw.values, [raw.text_width], axis=1)
    width = settings.content_width // len(parts)
    found = [item_vectors(components(part, width), ids, n_items, width) for part in parts]
    return np.hstack(found) / np.float32(len(parts) ** 0.5)


def components(features: np.ndarray, width: int) -> np.ndarray:
    """float32 (N, width): first principal components of the standardised `features` (N, F).

    Overwrites `features`. The largest loading of a component is positive.
    """
    varying = np.count_nonzero(features.min(axis=0) < features.max(axis=0))
    most = min(len(features) - 1, varying)
    if width > most:
        raise InputError(
            f"prepare.content_width asks for {width} principal components, but {len(features)}"
            f" vectors of {varying} numbers that vary have at most {most}: give a smaller"
            " prepare.content_width, or prepare.content=given"
        )
    pca = PCA(width, svd_solver="covariance_eigh", copy=False)
    return pca.fit_transform(standardised(features))


def standardised(features: np.ndarray) -> np.ndarray:
    """`features` (N, F), every column with mean 0 and variance 1 (or 0); overwrites them."""
    for begin in range(0, features.shape[1], COLUMNS_AT_ONCE):
        StandardScaler(copy=False).fit_transform(features[:, begin : begin + COLUMNS_AT_ONCE])
    return features


def item_vectors(found: np.ndarray, ids: np.ndarray, n_items: int, width: int) -> np.ndarray:
    """float32 (n_items, width): row n of `found` (N, at most width) in row ids[n], zeros elsewhere.

    One factor scales them so that the mean squared length of the N vectors is 1.
    """
    found = found.astype(np.float64)
    scale = np.sqrt(np.square(found).sum() / len(found))
    vectors = np.zeros((n_items, width), np.float32)
    vectors[ids, : found.shape[1]] = found / (scale or 1.0)  # 0: all items are alike
    return vectors
