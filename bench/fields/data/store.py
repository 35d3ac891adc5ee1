"""The three files of a data set, encoded, as training maps them into memory.

    <split>/columns.npy   (N, C) int32: rows of each categorical field's vocabulary
    <split>/numbers.npy   (N, M) float32: the numeric fields, scaled; only where there are some
    <split>/label.npy     (N,) uint8
    vocabulary.parquet    field, value: in the order of their rows, from 1 on
    fields.json           names, vocabulary sizes, scales, rows
    artifact.json         the record of the artifact; its report has the md5 of the unpacked files

Rows stay in the order of their file. bench.fields.data.writing makes the folder.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.fields.data.reading import quoted
from bench.fields.data.schema import Schema
from features.errors import InputError
from features.store.parquet import reason
from features.store.schema import SPLITS
from models.fields.rows import FieldRows
from pipeline.artifacts.spec import record

FACTS = "fields.json"
VOCABULARY = "vocabulary.parquet"


@dataclass(frozen=True, slots=True)
class FieldData:
    """An opened store.

    Shapes:
        rows[split]   columns (N, C) int32 and numbers (N, M) float32 or None, mapped from the disk
        label[split]  (N,) float32, in memory
        sizes         C vocabulary sizes: values of train + 2
    """

    rows: dict[str, FieldRows]
    label: dict[str, Tensor]
    sizes: list[int]

    @property
    def n_numeric(self) -> int:
        """M."""
        numbers = self.rows["train"].numbers
        return 0 if numbers is None else numbers.shape[1]

    @property
    def device(self) -> torch.device:
        """Where all rows and labels are."""
        return self.rows["train"].device

    def to(self, device: torch.device) -> "FieldData":
        """All rows and labels on `device`; on the CPU they stay mapped."""
        rows = {split: of.to(device) for split, of in self.rows.items()}
        label = {split: of.to(device) for split, of in self.label.items()}
        return FieldData(rows, label, self.sizes)


def unpublished_splits(path: Path, schema: Schema) -> dict[str, str]:
    """The splits of the store at `path` that are not known to be the published files, and why."""
    published, md5 = dataclasses.asdict(schema.md5), record(path)["report"]["md5"]
    return {
        split: "its md5 differs" if md5[split] else "parquet has not the md5 of a csv"
        for split in SPLITS
        if published[split] not in ("", md5[split])
    }


def require_columns(path: Path, schema: Schema) -> None:
    """Raises InputError unless `path` is a store of the columns of `schema`."""
    if not (path / FACTS).is_file():
        raise InputError(f"{path}: holds no {FACTS}; expected a store that bench.fields made")
    facts = _facts(path)
    found = (facts["label"], *facts["numeric"], *facts["categorical"])
    if found != schema.columns:
        raise InputError(f"{path}: a store of {quoted(found)}; expected {quoted(schema.columns)}")


def open_fields(path: Path) -> FieldData:
    """Open what `stored` returned. Raises InputError, which names a file that is damaged."""
    facts = _facts(path)
    rows = {
        split: FieldRows(
            _mapped(path / split / "columns.npy"),
            _mapped(path / split / "numbers.npy") if facts["numeric"] else None,
        )
        for split in SPLITS
    }
    label = {split: _mapped(path / split / "label.npy").float() for split in SPLITS}
    return FieldData(rows, label, list(facts["categorical"].values()))


def _facts(path: Path) -> dict[str, Any]:
    """What fields.json holds; its keys are checked, since a damaged one may be any JSON."""
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path / FACTS, reason(error)) from None
    if not isinstance(facts, dict) or not {"label", "categorical", "numeric"} <= facts.keys():
        raise _damaged(path / FACTS, "a key is missing")
    return facts


def _mapped(path: Path) -> Tensor:
    """An array on disk as a tensor; mapped privately, since torch warns of what is read-only."""
    try:
        return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise _damaged(path, reason(error)) from None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}: damaged ({why}); remove the store, so that it is made again")
