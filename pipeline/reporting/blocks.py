"""What the report consists of, as plain data; templates/blocks.html.jinja turns it into HTML.

`kind` names the macro of a block or of a cell. Text is never markup here: the templates escape it.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Shaded:
    """A table cell whose background is as strong as `share` (0..1)."""

    kind: ClassVar[str] = "shaded"
    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A table cell with a horizontal bar, `share` (0..1) of its width."""

    kind: ClassVar[str] = "bar"
    share: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A table cell that is good news or bad news."""

    kind: ClassVar[str] = "verdict"
    text: str
    good: bool


Cell = str | int | Shaded | Bar | Verdict


@dataclass(frozen=True, slots=True)
class Table:
    """The first cell names its row; a row of one cell is a heading; row `bold` stands out.

    A click on the head of a column sorts the rows, unless a column holds quantities of many kinds.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    bold: int = -1
    sortable: bool = True


@dataclass(frozen=True, slots=True)
class Drawing:
    """An inline SVG; `alt` describes it to those who cannot see it."""

    kind: ClassVar[str] = "drawing"
    alt: str
    view_box: str
    max_width: int  # CSS pixels
    content: Markup  # what stands inside <svg>


@dataclass(frozen=True, slots=True)
class Figure:
    """`lead` (bold) and `caption` above a drawing or a table."""

    kind: ClassVar[str] = "figure"
    content: Drawing | Table
    caption: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Titled:
    """Blocks under a heading of their own."""

    kind: ClassVar[str] = "titled"
    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True, slots=True)
class Grid:
    """Side by side where there is room: about 300 pixels each, or 460; none alone in a last row."""

    kind: ClassVar[str] = "grid"
    blocks: "Sequence[Block]"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A command line, a path or an address, after the word that names it; a click copies it."""

    kind: ClassVar[str] = "code"
    name: str
    text: str
    note: str = ""
    link: str = ""  # where a click on the note leads


@dataclass(frozen=True, slots=True)
class Details:
    """Shown on a click, and in print."""

    kind: ClassVar[str] = "details"
    summary: str
    content: Table


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and what they mean."""

    kind: ClassVar[str] = "terms"
    terms: Sequence[tuple[str, str]]


Block = Table | Drawing | Figure | Titled | Grid | Note | Code | Details | Terms


@dataclass(frozen=True, slots=True)
class Numbers:
    """What figures show, in six digits, as a CSV file to save: the page holds its text."""

    name: str  # of the file, without .csv
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    @property
    def csv(self) -> str:
        """The text of the file; nothing stands where a number is not known."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_digits(value) for value in row] for row in self.rows)
        return text.getvalue()

    @property
    def href(self) -> str:
        """The file as a data: URL."""
        return f"data:text/csv;charset=utf-8,{quote(self.csv, safe=',:;()/+')}"


def _digits(value: object) -> object:
    if not isinstance(value, float):  # numpy's float64 is one
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    anchor: str  # of links to it: stays when sections come, go or move
    title: str
    look_for: str  # one sentence: what to look for in any run
    finding: str  # what this run shows
    blocks: Sequence[Block]
    numbers: Sequence[Numbers] = ()  # behind its figures


@dataclass(frozen=True, slots=True)
class Tile:
    """A score in large digits."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    title: str
    summary: str
    tiles: Sequence[Tile]
    made: str  # when, in words
    codes: Sequence[Code]  # what was typed, what to upload
    meta: str
    warnings: Sequence[str]
