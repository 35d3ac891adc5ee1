"""A parquet file that tests download, and the call that downloads it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data.http import fetch
from tests.helpers.faulty_server import Site


def parquet_bytes(seed: int = 0, n: int = 10_000) -> bytes:
    sink = pa.BufferOutputStream()
    numbers = np.random.default_rng(seed).integers(0, 2**60, n)
    pq.write_table(pa.table({"a": numbers}), sink, compression=None, use_dictionary=False)
    return sink.getvalue().to_pybytes()


DATA, OTHER = parquet_bytes(), parquet_bytes(1)


def fetch_train(site: Site, folder: Path, **options) -> None:
    path = folder / "train.parquet"
    fetch(f"{site.url}/train.parquet", path, b"PAR1", **{"check": lambda _: None} | options)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
