"""What the report consists of, as plain data; templates/blocks.html.jinja turns it into HTML.

`kind` names the macro of a block or of a cell. Text is never markup here: the templates escape it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

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
    """The first cell names its row; a row of one cell is a heading; row `bold` stands out."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    bold: int = -1


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
    """Side by side where there is room: about 300 pixels each, or 460."""

    kind: ClassVar[str] = "grid"
    blocks: "Sequence[Block]"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A command line or a part of one, after the word that names it."""

    kind: ClassVar[str] = "code"
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Details:
    """Shown on a click, and in print."""

    kind: ClassVar[str] = "details"
    summary: str
    content: Table


Block = Table | Drawing | Figure | Titled | Grid | Note | Code | Details


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    look_for: str  # one sentence: what to look for in any run
    finding: str  # what this run shows
    blocks: Sequence[Block]


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
    meta: str
    warnings: Sequence[str]
