"""Open a store that features.store.prepare wrote. Needs numpy only: training reads no parquet.

    rows        user int32 (N,), item int32 (N,), likes uint8 (N,), views uint8 (N,),
                history int32 (N,) -> which history; label uint8 (N,) or, in test, id int64 (N,)
    histories   values int32 (T,), offsets int64 (H + 1,); history h is
                values[offsets[h] : offsets[h + 1]], oldest first, without padding
    items       tags int32 (I, 5), content float32 (I, D), row number == item id, row 0 padding;
                likes and views uint8 (I,) if the source has them (0 for items that it lacks);
                codes int32 (I, K) if prepare.codes = K > 0: code c of level k is stored as
                1 + k * codebook + c; 0 for items whose content is all zeros

An array is <part>/<name>.npy beside manifest.json, which names the files that they were made from.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from features.errors import InputError
from features.store.schema import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The rows of train, valid or test, in the order of their file."""

    user: np.ndarray
    item: np.ndarray
    likes: np.ndarray
    views: np.ndarray
    history: np.ndarray
    label: np.ndarray | None = None
    id: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> "Split":
        """The rows at the indices `rows` (n,), or where the mask `rows` is true."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return Split(**{name: None if a is None else a[rows] for name, a in columns.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The item table; row number == item id."""

    tags: np.ndarray
    content: np.ndarray
    likes: np.ndarray | None = None
    views: np.ndarray | None = None
    codes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Rows, ragged histories and the item table; see the module docstring."""

    train: Split
    valid: Split
    test: Split
    values: np.ndarray
    offsets: np.ndarray
    items: Items
    manifest: dict


def open_store(folder: Path) -> Store:
    """Map a store's arrays read-only. Raises InputError if the store is missing or damaged."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder} holds no store ({error}); {REMEDY}") from error
    parts: dict[str, dict[str, np.ndarray]] = {}
    try:
        for name, described in manifest["arrays"].items():
            part, field = name.split("/")
            if not (part.isidentifier() and field.isidentifier()):  # a path that leaves the folder
                raise ValueError(f"array {name!r}")
            parts.setdefault(part, {})[field] = _load(folder / f"{name}.npy", described)
        splits = {name: Split(**parts[name]) for name in SPLITS}
        items = Items(**parts["items"])
        return Store(**splits, **parts["histories"], items=items, manifest=manifest)
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        path = folder / "manifest.json"
        raise InputError(f"{path} describes no store ({error!r}); {REMEDY}") from error


REMEDY = "it is written by: python -m pipeline.10_prepare"


def _load(path: Path, described: dict) -> np.ndarray:
    try:
        array = np.lib.format.open_memmap(
            path, mode="r"
        )  # reads no more than the file holds, and no pickle
    except Exception as error:  # whatever a damaged or hostile header makes numpy raise
        raise InputError(f"{path} cannot be read ({error}); {REMEDY}") from error
    actual = describe(array)
    if actual != described:
        raise InputError(f"{path} holds {actual}, the manifest says {described}; {REMEDY}")
    return array


def describe(array: np.ndarray) -> dict:
    """Shape and dtype as they stand in the manifest."""
    return {"shape": list(array.shape), "dtype": str(array.dtype)}
