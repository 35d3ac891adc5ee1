"""Where the challenge's files lie and what they must look like.

A folder in the challenge's schema holds train, valid, test and item_info as parquet, and may hold
item_feature.parquet in it or beside it, as the organisers' archive does. Sizes: MicroLens-1M as
published for the WWW 2025 MMCTR challenge (https://recsys.westlake.edu.cn/MicroLens_1M_MMCTR).
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from features.errors import InputError

REQUIRED = ("train", "valid", "test", "item_info")
OPTIONAL = ("item_feature",)
SPLITS = ("train", "valid", "test")
PUBLISHED_ROWS = {"train": 3_600_000, "valid": 10_000, "test": 379_142, "item_info": 91_718}
N_LEVELS = 11  # of likes and views: 1..10 by deciles, 0 for an unknown count
PUBLISHED_TAGS = 11_740  # with 0, the padding
PUBLISHED_SHA256 = {  # as hdu-yzl/MMCTR-Bench recorded its sources on GitHub
    "train": "182fba831484d931e3943557cdd1b791861b2f921d0a7ff66bb34d492be7d5b1",
    "item_feature": "a63d8cbe090a79ee18bdb51a4146a4205339cb4b3b81bcae26035c17a322fc65",
}

MODALITIES = ("txt_emb_BERT", "img_emb_CLIPRN50")  # vectors in item_feature: text, image
CONTENTS = ("given", "joint_pca", "modality_pca")

INTEGER, LEVEL, INTEGERS, FLOATS = "integer", "level", "integers", "floats"
INT32, INT64 = np.iinfo(np.int32).max, np.iinfo(np.int64).max


def address_problem(url: str) -> str | None:
    """What is wrong with the address of a folder on a web server, or None."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError as error:
        return f"is no address ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        return "must be an address that begins with https:// or http://"
    if not re.fullmatch(r"[!-~]+", url) or "@" in parts.netloc or parts.query or parts.fragment:
        return "must be a plain address: no spaces, user names, passwords, ? or #"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeSettings:
    """A folder of files as the challenge gives them."""

    dir: str = ""  # folder in the challenge's schema
    published_sizes: bool = False  # enforce the published row counts and vocabularies
    url: str = ""  # address of such a folder, for 00_data --download

    def __post_init__(self) -> None:
        problem = address_problem(self.url) if self.url else None
        if problem:
            raise ValueError(f"url = {self.url!r} {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """What the store makes of the items; see features.store.content and features.store.codes."""

    content: str = "given"  # item_emb_d128 | joint_pca, modality_pca: of the vectors behind it
    content_width: int = 128  # of joint_pca and modality_pca
    codes: int = 0  # levels of semantic codes of the content vectors; 0: none
    codebook: int = 256  # codes that a level tells apart
    seed: int = 0  # of the codes

    def __post_init__(self) -> None:
        problems = []
        if self.content not in CONTENTS:
            problems.append(f"content = {self.content!r} must be one of {', '.join(CONTENTS)}")
        least = {"content_width": 1, "codes": 0, "codebook": 2, "seed": 0}
        problems += [
            f"{name} = {getattr(self, name)} must be at least {low}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        most = {"content_width": 10_000, "codes": 100, "codebook": 2**20, "seed": 2**32 - 1}
        problems += [
            f"{name} = {getattr(self, name)} must be at most {high}"
            for name, high in most.items()
            if getattr(self, name) > high
        ]
        if self.content == "modality_pca" and self.content_width % 2:
            problems.append(
                f"content_width = {self.content_width} must be even: modality_pca halves it"
            )
        if problems:
            raise ValueError("; ".join(problems))

    def in_force(self) -> dict[str, str | int]:
        """The settings that make the store another than by default."""
        content = ("content", "content_width") if self.content != "given" else ()
        codes = ("codes", "codebook", "seed") if self.codes else ()
        return {name: getattr(self, name) for name in (*content, *codes)}

    @property
    def unread(self) -> set[str]:
        """Settings that nothing reads: of a PCA or of codes that are not asked for."""
        return asdict(self).keys() - self.in_force().keys() - {"content", "codes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """What one column must look like, and how the store keeps it."""

    name: str
    kind: str  # INTEGER | LEVEL (whole numbers of any type) | INTEGERS | FLOATS (lists)
    dtype: type  # of the array that the store keeps
    low: int = 0  # smallest allowed value
    high: int = 0  # largest allowed value
    width: int = 0  # elements in every list; 0 for columns that hold no lists
    left_padded: bool = False  # zeros may only stand in front


def files(folder: Path, url: str = "") -> dict[str, Path]:
    """Paths by name: all of REQUIRED, and those of OPTIONAL that are there.

    Raises InputError with every required file that is missing.
    """
    places = {name: [folder / f"{name}.parquet"] for name in (*REQUIRED, *OPTIONAL)}
    for name in OPTIONAL:
        places[name].append(folder.resolve().parent / f"{name}.parquet")
    found = {
        name: next(path for path in paths if path.is_file())
        for name, paths in places.items()
        if any(path.is_file() for path in paths)
    }
    missing = [f"{name}.parquet" for name in REQUIRED if name not in found]
    if missing:
        what = "has no" if folder.is_dir() else "does not exist; it should hold"
        raise InputError(
            f"{folder} {what} {', '.join(missing)}; place the challenge's files there,"
            " or name the folder that holds them: data.dir=FOLDER"
            + f"; 00_data --download fetches them from {url}"
            * bool(url)
        )
    return found


def columns(
    name: str, *, n_items: int | None, width: int, published_sizes: bool
) -> tuple[ColumnSpec, ...]:
    """What the store takes from the file `name`.

    `n_items` None leaves item ids without an upper end; `width` is that of the histories.
    """
    last = INT32 if n_items is None else n_items - 1
    if name == "item_info":
        return _item_info(last, PUBLISHED_TAGS - 1 if published_sizes else INT32)
    item = ColumnSpec(name="item_id", kind=INTEGER, dtype=np.int32, low=1, high=last)
    levels = [
        ColumnSpec(name=level, kind=LEVEL, dtype=np.uint8, high=N_LEVELS - 1)
        for level in ("likes_level", "views_level")
    ]
    if name == "item_feature":
        return item, *levels
    user = ColumnSpec(name="user_id", kind=INTEGER, dtype=np.int32, high=INT32)
    sequence = ColumnSpec(
        name="item_seq", kind=INTEGERS, dtype=np.int32, high=last, width=width, left_padded=True
    )
    label = ColumnSpec(name="label", kind=LEVEL, dtype=np.uint8, high=1)
    test_id = ColumnSpec(name="ID", kind=INTEGER, dtype=np.int64, low=-INT64 - 1, high=INT64)
    return user, sequence, item, *levels, test_id if name == "test" else label


def _item_info(last: int, last_tag: int) -> tuple[ColumnSpec, ...]:
    return (
        ColumnSpec(name="item_id", kind=INTEGER, dtype=np.int32, high=last),
        ColumnSpec(name="item_tags", kind=INTEGERS, dtype=np.int32, high=last_tag, width=5),
        ColumnSpec(name="item_emb_d128", kind=FLOATS, dtype=np.float32, width=128),
    )
