"""A data set with the fields, vocabularies and rows of a published one, made up.

writes  OUT/{train,valid,test}.<format>: label, the numeric fields, the
        categorical fields as whole numbers
run     python -m bench.fields.data.generate criteo_x1 --out data/criteo_like
        [--rows-of-train 100000] [--format csv|csv.gz|parquet] [--seed 0]

Values of a field are drawn in proportion to 1 / rank. Train has each of them,
unless it has too few rows; one value in a thousand of valid and test is not
among them. The label follows from some fields, so that networks learn from
them. Equal commands write equal values.
"""

import argparse
import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from bench.fields.data.schema import ENDINGS
from bench.fields.settings import DATA_SETS, Data, Rows, data_set
from features.errors import InputError
from features.store.atomic import atomic_file
from features.store.schema import SPLITS
from pipeline.config.nearest import near
from pipeline.runtime import cli, usage

FORMATS = ("csv", "csv.gz", "parquet")
ROWS_AT_ONCE = 1 << 18
UNSEEN = 1e-3  # share of the values of valid and test that train does not have
EFFECTS = 4096  # values of a field with an effect of their own; value k has that of k % EFFECTS
FIELDS_WITH_EFFECT = 8  # numeric ones first
FEWEST_ROWS = 100  # of a split, so that both labels occur


@dataclass(frozen=True, slots=True)
class World:
    """The truth behind the labels of a data set: logit = bias + sum of effects."""

    data: Data
    seed: int

    def table(self, split: int, first: int, n: int) -> pl.DataFrame:
        """Rows first .. first + n - 1 of split number `split`."""
        rng = np.random.default_rng((self.seed, split, first))
        truth = np.random.default_rng(self.seed)
        position = np.arange(first, first + n)
        logit = np.full(n, -1.0, np.float32)
        columns: dict[str, np.ndarray] = {}
        for number, name in enumerate(self.data.numeric):
            columns[name] = (rng.random(n, np.float32) ** 3 * 10_000).round() / np.float32(10_000)
            if number < FIELDS_WITH_EFFECT // 2:
                logit += np.float32(truth.normal()) * columns[name]
        n_effects = FIELDS_WITH_EFFECT - min(len(self.data.numeric), FIELDS_WITH_EFFECT // 2)
        for number, (name, size) in enumerate(self._sizes().items()):
            values = self._values(rng, size, position, is_train=split == 0)
            columns[name] = values
            if number < n_effects:
                logit += truth.normal(0, 0.7, EFFECTS).astype(np.float32)[values % EFFECTS]
        label = rng.random(n, np.float32) < 1 / (1 + np.exp(-logit))
        return pl.DataFrame({self.data.label: label.astype(np.uint8)} | columns)

    def _sizes(self) -> dict[str, int]:
        """How many values of each categorical field train has."""
        sizes = zip(self.data.categorical, self.data.sizes, strict=True)
        return {name: size - 2 for name, size in sizes}

    def _values(
        self, rng: np.random.Generator, size: int, position: np.ndarray, is_train: bool
    ) -> np.ndarray:
        """Values (n,) int32 of a field that has `size` of them in train, in the rows `position`."""
        n = len(position)
        rank = np.exp(rng.random(n, np.float32) * np.float32(np.log(size + 1)))
        values = np.minimum(rank.astype(np.int32) - 1, size - 1)
        if is_train:  # every step-th row has the next value in turn, min_count times
            step = max(1, self.data.rows.train // (size * self.data.min_count))
            turn = position % step == 0
            values[turn] = position[turn] // step % size
        else:
            unseen = rng.random(n, np.float32) < UNSEEN
            values[unseen] = size + values[unseen]
        return values


def generate(data: Data, out: Path, kind: str = "csv", seed: int = 0) -> dict[str, Path]:
    """Write the three files of a data set like `data`, whose rows and sizes are known.

    Raises InputError where `out` has a file of a split already, in any format: it may be real.
    """
    paths = (out / f"{split}{ending}" for split in SPLITS for ending in ENDINGS)
    if there := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise InputError(
            f"got {', '.join(there)}; expected a folder without files of a split: choose another"
            " --out, or remove them"
        )
    world, files = World(data, seed), {}
    for number, split in enumerate(SPLITS):
        files[split] = out / f"{split}.{kind}"
        rows = getattr(data.rows, split)
        with atomic_file(files[split]) as scratch, _writer(scratch, kind) as write:
            for first in range(0, rows, ROWS_AT_ONCE):
                write(world.table(number, first, min(ROWS_AT_ONCE, rows - first)))
        size = files[split].stat().st_size
        print(f"{files[split]}: {rows:,} rows, {size:,} bytes", flush=True)
    return files


@contextmanager
def _writer(path: Path, kind: str) -> Iterator[Callable[[pl.DataFrame], None]]:
    """A function that appends a table to the file."""
    if kind == "parquet":
        parquet: list[pq.ParquetWriter] = []

        def append(table: pl.DataFrame) -> None:
            arrow = table.to_arrow()
            if not parquet:
                parquet.append(pq.ParquetWriter(path, arrow.schema, compression="zstd"))
            parquet[0].write_table(arrow)

        yield append
        parquet[0].close()
        return
    opened = gzip.GzipFile(path, "wb", 1, mtime=0) if kind == "csv.gz" else path.open("wb")
    with opened as stream:
        yield lambda table: table.write_csv(stream, include_header=stream.tell() == 0)


def with_rows_of_train(data: Data, n: int) -> Data:
    """`data` with `n` rows of train, and as large a share of the other splits."""
    share = n / data.rows.train
    rows = {s: max(FEWEST_ROWS, round(share * rows)) for s, rows in asdict(data.rows).items()}
    return replace(data, rows=Rows(**(rows | {"train": n})))


def run(a: argparse.Namespace) -> None:
    """Check the options and write the files."""
    if a.data_set not in DATA_SETS:
        names = ", ".join(DATA_SETS)
        raise InputError(
            f"got the data set {a.data_set!r}{near(a.data_set, DATA_SETS)}; there are {names}"
        )
    if not 0 <= a.seed < 2**63:
        raise InputError(f"--seed {a.seed}: expected 0 or more, below 2^63")
    data = data_set(a.data_set).data
    if a.rows_of_train is not None:
        if not FEWEST_ROWS <= a.rows_of_train < 2**31:
            raise InputError(
                f"--rows-of-train {a.rows_of_train}: expected {FEWEST_ROWS} or more, below 2^31"
            )
        data = with_rows_of_train(data, a.rows_of_train)
    generate(data, a.out, a.format, a.seed)


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("data_set", metavar="DATA_SET", help=", ".join(DATA_SETS))
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--rows-of-train", type=int, help="and of the others in proportion")
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
