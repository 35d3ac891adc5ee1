"""HTML for people: sections, figures and tables; everything that is not `Html` is escaped.

The page is one file: its style is page.css beside this module, its figures are inline SVG, and it
asks no network for anything.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CSS = Path(__file__).with_name("page.css")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, one or two sentences that state the finding, and what shows it."""

    title: str
    said: str
    body: Html


def markup(value: object) -> Html:
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[Html]) -> Html:
    return Html("\n".join(parts))


def table(columns: Sequence[object], rows: Iterable[Sequence[object]], bold: int = -1) -> Html:
    """A table that scrolls inside its own box, its first column stays in sight.

    The first cell names a row; a row of one cell is a heading. Row `bold` stands out.
    """
    head = "".join(f'<th scope="col">{markup(column)}</th>' for column in columns)
    body = []
    for i, (name, *cells) in enumerate(rows):
        kind = ' class="bold"' if i == bold else ""
        if not cells:
            span = f'<th colspan="{len(columns)}" scope="rowgroup">{markup(name)}</th>'
            body.append(f'<tr class="group">{span}</tr>')
            continue
        said = "".join(f"<td>{markup(cell)}</td>" for cell in cells)
        body.append(f'<tr{kind}><th scope="row">{markup(name)}</th>{said}</tr>')
    return Html(
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def shaded(text: str, share: float) -> Html:
    """A cell whose background is as strong as `share` (0..1)."""
    return Html(f'<span class="shaded" style="--share:{_share(share)}">{markup(text)}</span>')


def bar(share: float) -> Html:
    """A horizontal bar, `share` (0..1) of its cell."""
    return Html(f'<span class="bar" style="--share:{_share(share)}"></span>')


def figure(drawing: Html, caption: str, lead: str = "") -> Html:
    """`lead` (bold) and `caption` above a drawing."""
    lead = Html(f"<b>{markup(lead)}</b> ") if lead else Html("")
    return Html(f"<figure><figcaption>{lead}{markup(caption)}</figcaption>{drawing}</figure>")


def grid(parts: Iterable[Html], wide: bool = False) -> Html:
    """Side by side where there is room: about 300 pixels each, or 460."""
    cells = "".join(f"<div>{part}</div>" for part in parts)
    return Html(f'<div class="grid{" wide" * wide}">{cells}</div>')


def note(text: str) -> Html:
    return Html(f'<p class="note">{markup(text)}</p>')


def folded(summary: str, body: Html) -> Html:
    """Shown on a click, and in print."""
    return Html(f"<details><summary>{markup(summary)}</summary>{body}</details>")


def page(title: str, headline: Html, sections: Sequence[Section]) -> str:
    """The whole document."""
    links = " ".join(f'<a href="#s{i}">{markup(s.title)}</a>' for i, s in enumerate(sections))
    body = join(_section(i, section) for i, section in enumerate(sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{markup(title)}</title>
<style>
{CSS.read_text()}</style>
</head>
<body>
<main>
<header>{headline}</header>
<nav>{links}</nav>
{body}
</main>
</body>
</html>
"""


def _section(i: int, section: Section) -> Html:
    said = f'<p class="said">{markup(section.said)}</p>'
    return Html(
        f'<section id="s{i}"><h2>{markup(section.title)}</h2>{said}{section.body}</section>'
    )


def _share(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.3f}"
