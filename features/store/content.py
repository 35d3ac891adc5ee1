"""Content vectors rebuilt by PCA from the raw text and image vectors of the items.

The challenge gives an item's BERT and CLIP vectors, side by side and reduced to 128 numbers by PCA
(item_emb_d128). `rebuild` makes such vectors from the raw ones in item_feature:

    joint_pca      one PCA of both side by side: the challenge's recipe
    modality_pca   a PCA of each, half of the width each, side by side (arXiv:2504.18961, V4)

Neither source publishes its scaling. Here every raw number is standardised over the items first, so
that no modality weighs more because of its unit. Then one factor scales a PCA's vectors to a mean
squared length of 1 (each half of modality_pca: 1/2). The length matters: bench/RESULTS.md.
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
COLUMNS_AT_ONCE = 64  # StandardScaler needs twice their memory on top


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
    """The raw vectors that `content` needs; None if it needs none or they cannot be read."""
    if content == "given":
        return None
    names = file.schema_arrow.names if file else []
    absent = [name for name in MODALITIES if name not in names]
    for name in absent:
        found = f"columns {parquet.names(file.schema_arrow)}" if file else "no such file"
        expected = f"the vectors that prepare.content={content} needs, or prepare.content=given"
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
    """A column of vectors, as wide as most lists of the first batch; None if it is not usable."""
    column = ColumnSpec(name=name, kind=FLOATS, dtype="float32")
    if not parquet.usable_columns(FILE, file, (column,), violations):
        return None
    for _, batch in parquet.read_batches(FILE, file, [name], violations, ROWS_AT_ONCE):
        width = parquet.commonest_length(batch[name])
        if 0 < width <= parquet.MAX_WIDTH:
            return replace(column, width=width)
        expected = f"lists of 1 to {parquet.MAX_WIDTH} numbers"
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
    """Read and check a column, into `values` (N, width)."""
    report = violations.column(FILE, column.name)
    for start, batch in parquet.read_batches(FILE, file, [column.name], violations, ROWS_AT_ONCE):
        rows, vectors = parquet.read_column(column, batch[column.name], start, report)
        with np.errstate(over="ignore"):  # reported, and then nothing is written
            values[rows] = vectors
        if progress:
            progress(f"{FILE} {column.name}", start + len(batch), len(values))


def rebuild(
    settings: PrepareSettings, raw: RawVectors, ids: np.ndarray, n_items: int
) -> np.ndarray:
    """float32 (n_items, content_width): the content of the items `ids` (N,), zeros for all others.

    Overwrites `raw`. Raises InputError if `raw` has fewer components than `content_width`.
    """
    joint = settings.content == "joint_pca"
    parts = [raw.values] if joint else np.split(raw.values, [raw.text_width], axis=1)
    width = settings.content_width // len(parts)
    vectors = [item_vectors(components(part, width), ids, n_items, width) for part in parts]
    return np.hstack(vectors) / np.float32(len(parts) ** 0.5)


def components(features: np.ndarray, width: int) -> np.ndarray:
    """float32 (N, width): first principal components of the standardised `features` (N, F).

    Overwrites `features`. The largest loading of a component is positive.
    """
    varying = np.count_nonzero(features.min(axis=0) < features.max(axis=0))
    rank = min(len(features) - 1, varying)
    if width > rank:
        raise InputError(
            f"prepare.content_width asks for {width} principal components, but {len(features)}"
            f" vectors of {varying} numbers that vary have at most {rank}: use a smaller"
            " prepare.content_width, or prepare.content=given"
        )
    pca = PCA(width, svd_solver="covariance_eigh", copy=False)
    return pca.fit_transform(standardised(features))


def standardised(features: np.ndarray) -> np.ndarray:
    """`features` (N, F) with mean 0 and variance 1 (or 0) in every column; overwrites them."""
    for begin in range(0, features.shape[1], COLUMNS_AT_ONCE):
        StandardScaler(copy=False).fit_transform(features[:, begin : begin + COLUMNS_AT_ONCE])
    return features


def item_vectors(vectors: np.ndarray, ids: np.ndarray, n_items: int, width: int) -> np.ndarray:
    """float32 (n_items, width): row n of `vectors` in row ids[n], zeros elsewhere.

    vectors (N, at most width); narrower ones are padded with zeros on the right.

    One factor scales them so that the mean squared length of the N vectors is 1.
    """
    vectors = vectors.astype(np.float64)
    scale = np.sqrt(np.square(vectors).sum() / len(vectors))
    table = np.zeros((n_items, width), np.float32)
    table[ids, : vectors.shape[1]] = vectors / (scale or 1.0)  # 0: all items are alike
    return table
