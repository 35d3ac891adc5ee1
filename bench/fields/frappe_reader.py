"""Read, check and encode Frappe_x1's three files."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from features.errors import InputError
from features.store.schema import SPLITS
from models.fields.rows import FieldRows, encode

MD5 = {  # of the published files, unpacked
    "train": "ba7306e6c4fc19dd2cd84f2f0596d158",
    "valid": "88d51bf2173505436d3a8f78f2a59da8",
    "test": "3470f6d32713dc5f7715f198ca7c612a",
}


@dataclass(frozen=True, slots=True)
class Frappe:
    """The three splits, encoded with the values that occur in train.

    Shapes: rows[split] (N, F); label[split] (N,) float32; sizes: F vocabulary sizes
    """

    rows: dict[str, FieldRows]
    label: dict[str, Tensor]
    sizes: list[int]


def find(folder: Path) -> dict[str, Path]:
    """The file of each split in `folder`; the unpacked one where both exist."""
    files = {}
    for split in SPLITS:
        names = (f"{split}.csv", f"{split}.csv.gz")
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            raise InputError(
                f"{folder}: holds neither {names[0]} nor {names[1]}; --data must be a folder with"
                " Frappe_x1's train, valid and test"
            )
        files[split] = paths[0]
    return files


def read(files: dict[str, Path]) -> Frappe:
    """The splits of `files`. Raises InputError unless they hold labels and whole numbers."""
    tables = {split: _table(path) for split, path in files.items()}
    header = tables["train"].columns
    for split, table in tables.items():
        if table.columns != header:
            raise InputError(
                f"{files[split]}: got the columns {','.join(table.columns)}, expected those of"
                f" {files['train'].name}: {','.join(header)}"
            )
    values = {s: torch.tensor(t.drop("label").to_numpy().copy()) for s, t in tables.items()}
    vocab = [torch.unique(column) for column in values["train"].unbind(1)]
    rows = {split: FieldRows(encode(v, vocab)) for split, v in values.items()}
    label = {s: torch.tensor(t["label"].to_numpy().copy()).float() for s, t in tables.items()}
    return Frappe(rows, label, [len(seen) + 2 for seen in vocab])


def _table(path: Path) -> pl.DataFrame:
    try:
        text = pl.read_csv(path, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a csv table: {str(error).splitlines()[0]}") from None
    if "label" not in text.columns or text.width < 2:
        raise InputError(
            f"{path}: got the columns {','.join(text.columns)}, expected label and the fields"
        )
    numbers = text.with_columns(pl.all().str.strip_chars().cast(pl.Int64, strict=False))
    for column in numbers:
        wrong = column.is_null() | (column < 0)
        if column.name == "label":
            wrong |= column > 1
        if wrong.any():
            line = wrong.arg_max()
            expected = "0 or 1" if column.name == "label" else "a whole number, 0 or more"
            raise InputError(
                f"{path}: line {line + 2}, {column.name}: got {text[column.name][line]!r},"
                f" expected {expected}"
            )
    if numbers["label"].n_unique() != 2:
        raise InputError(f"{path}: expected rows of both labels, 0 and 1; got {len(numbers)} rows")
    return numbers


def unpublished_splits(files: dict[str, Path]) -> list[str]:
    """The splits whose unpacked bytes differ from the published ones."""
    return [split for split, path in files.items() if _md5(path) != MD5[split]]


def _md5(path: Path) -> str:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
