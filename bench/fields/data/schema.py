"""What a data set of fields is: its columns, how they are encoded, and its three files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from features.errors import InputError
from features.store.schema import SPLITS

ENDINGS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Md5:
    """Of the unpacked files; an empty text where it is not known."""

    train: Annotated[str, "md5 of the unpacked train file."] = ""
    valid: Annotated[str, "md5 of the unpacked valid file."] = ""
    test: Annotated[str, "md5 of the unpacked test file."] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The columns that are read, by name, and how they are encoded."""

    label: Annotated[str, "Name of the label's column, 0 or 1."]
    categorical: Annotated[tuple[str, ...], "one or more", "Names of the categorical columns."]
    numeric: Annotated[tuple[str, ...], "Names of the numeric columns."] = ()
    min_count: Annotated[
        int, "[1, inf) rows", "How many rows of train a value needs for a row of its own."
    ] = 1
    scale: Annotated[
        Literal["none", "standard", "min_max"],
        "How numeric columns are scaled: not at all; less the mean, divided by the standard"
        " deviation; or less the minimum, divided by the range; each of train.",
    ] = "none"
    md5: Md5 = field(default_factory=Md5)

    def __post_init__(self) -> None:
        names = self.columns
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            shown = ", ".join(map(repr, repeated))
            raise ValueError(f"{shown}: named twice; a column has one use")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns: the label, then numeric, then categorical ones."""
        return (self.label, *self.numeric, *self.categorical)


def find(folder: Path) -> dict[str, Path]:
    """The file of each split in `folder`: SPLIT.csv, SPLIT.csv.gz or SPLIT.parquet.

    Raises InputError, which names the splits that have none, and those that have several.
    """
    found = {
        split: [path for end in ENDINGS if (path := folder / f"{split}{end}").is_file()]
        for split in SPLITS
    }
    missing = [split for split, paths in found.items() if not paths]
    if missing:
        raise InputError(
            f"{folder}: holds no file of {', '.join(missing)}; --data must be a folder with"
            f" {', '.join(SPLITS)}, each {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    several = [path.name for paths in found.values() if len(paths) > 1 for path in paths]
    if several:
        raise InputError(
            f"{folder}: holds {', '.join(several)}; expected one file of each split, since their"
            " rows may differ: keep those that are meant"
        )
    return {split: path for split, (path,) in found.items()}
