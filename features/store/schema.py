"""The challenge's schema: its files, their columns, and what values may be in them.

A folder in this schema holds train, valid, test and item_info as parquet. item_feature.parquet is
optional; it lies in the folder or in its parent, as in the organisers' archive. Sizes: MicroLens-1M
as published for the WWW 2025 MMCTR challenge (https://recsys.westlake.edu.cn/MicroLens_1M_MMCTR).
"""

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError

REQUIRED = ("train", "valid", "test", "item_info")
OPTIONAL = ("item_feature",)
SPLITS = ("train", "valid", "test")
PUBLISHED_ROWS = {"train": 3_600_000, "valid": 10_000, "test": 379_142, "item_info": 91_718}
N_LEVELS = 11  # of likes and views: 1..10 by deciles, 0 for an unknown count
PUBLISHED_TAGS = 11_740  # including 0, the padding
PUBLISHED_SHA256 = {  # as hdu-yzl/MMCTR-Bench recorded its sources on GitHub
    "train": "182fba831484d931e3943557cdd1b791861b2f921d0a7ff66bb34d492be7d5b1",
    "item_feature": "a63d8cbe090a79ee18bdb51a4146a4205339cb4b3b81bcae26035c17a322fc65",
}

MODALITIES = ("txt_emb_BERT", "img_emb_CLIPRN50")  # vectors in item_feature: text, image

INTEGER, LEVEL, INTEGERS, FLOATS = "integer", "level", "integers", "floats"
INT32, INT64 = 2**31 - 1, 2**63 - 1  # largest values


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """What values a column may have, and the dtype in which the store keeps it."""

    name: str
    kind: str  # INTEGER | LEVEL (whole numbers of any type) | INTEGERS | FLOATS (lists)
    dtype: str  # of the array in the store
    low: int = 0  # smallest allowed value
    high: int = 0  # largest allowed value
    width: int = 0  # elements of every list; 0 for a column without lists
    left_padded: bool = False  # whether zeros are allowed in front only


def files(folder: Path, url: str = "") -> dict[str, Path]:
    """Paths by name: all of REQUIRED, and those of OPTIONAL that exist.

    Raises InputError that names every required file that is missing.
    """
    candidates = {name: [folder / f"{name}.parquet"] for name in REQUIRED}
    candidates |= {name: beside(folder, name) for name in OPTIONAL}
    existing = {
        name: next(path for path in paths if path.exists())
        for name, paths in candidates.items()
        if any(path.exists() for path in paths)
    }
    for path in existing.values():
        refuse_folder(path)
    missing = [f"{name}.parquet" for name in REQUIRED if name not in existing]
    if missing:
        what = "has no" if folder.is_dir() else "does not exist; it should hold"
        raise InputError(
            f"{folder} {what} {', '.join(missing)}; place the challenge's files there,"
            " or name the folder that holds them: data.dir=FOLDER"
            + f"; ./run_all.sh PROFILE --download fetches them from {url}"
            * bool(url)
        )
    return existing


def beside(folder: Path, name: str) -> list[Path]:
    """Where the optional file `name` may lie: in the folder, in its parent, and where the folder is
    a link, in the parent of what it points to."""
    folders = (folder, Path(os.path.abspath(folder)).parent, folder.resolve().parent)
    return [folder / f"{name}.parquet" for folder in folders]


def levels_beside(item_info: Path) -> list[Path]:
    """Where item_feature.parquet may lie for the file `item_info`, which may itself be a link."""
    folders = (item_info.parent, item_info.resolve().parent)
    return [path for folder in folders for path in beside(folder, "item_feature")]


def refuse_folder(path: Path) -> None:
    """Raise InputError if `path` is a folder of parts, as Spark and Dask write one."""
    if not path.is_dir():
        return
    parts = path.with_suffix(".parts")
    source, target = (json.dumps(str(p)) for p in (parts / "**" / "*.parquet", path))
    code = f"import polars; polars.scan_parquet({source}).sink_parquet({target})"
    command = f"mv {shlex.quote(str(path))} {shlex.quote(str(parts))}"
    command += f" && python -c {shlex.quote(code)}"
    raise InputError(
        f"{path} is a folder, as Spark and Dask write tables; expected one parquet file. Make it"
        f" one:\n  {command}"
    )


def columns(
    name: str, *, n_items: int | None, width: int, published_sizes: bool
) -> tuple[ColumnSpec, ...]:
    """The columns that the store reads from the file `name`.

    `n_items` None allows any item id; `width` is that of the histories.
    """
    last = INT32 if n_items is None else n_items - 1
    if name == "item_info":
        return _item_info(last, PUBLISHED_TAGS - 1 if published_sizes else INT32)
    item = ColumnSpec(name="item_id", kind=INTEGER, dtype="int32", low=1, high=last)
    levels = [
        ColumnSpec(name=level, kind=LEVEL, dtype="uint8", high=N_LEVELS - 1)
        for level in ("likes_level", "views_level")
    ]
    if name == "item_feature":
        return item, *levels
    user = ColumnSpec(name="user_id", kind=INTEGER, dtype="int32", high=INT32)
    sequence = ColumnSpec(
        name="item_seq", kind=INTEGERS, dtype="int32", high=last, width=width, left_padded=True
    )
    label = ColumnSpec(name="label", kind=LEVEL, dtype="uint8", high=1)
    test_id = ColumnSpec(name="ID", kind=INTEGER, dtype="int64", low=-INT64 - 1, high=INT64)
    return user, sequence, item, *levels, test_id if name == "test" else label


def _item_info(last: int, last_tag: int) -> tuple[ColumnSpec, ...]:
    return (
        ColumnSpec(name="item_id", kind=INTEGER, dtype="int32", high=last),
        ColumnSpec(name="item_tags", kind=INTEGERS, dtype="int32", high=last_tag, width=5),
        ColumnSpec(name="item_emb_d128", kind=FLOATS, dtype="float32", width=128),
    )
