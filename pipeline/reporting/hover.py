"""What a figure says under the pointer: invisible strips across its axes, each with a text.

A strip is a rectangle with a <title>, which browsers show by themselves, scripts or not. It reaches
half way to the next one, so that every place of the axes belongs to the value that is nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECT = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')


@dataclass(frozen=True, slots=True)
class Strips:
    """A text for each of `positions`, in the units of `along`; strips cross all of `axes`."""

    axes: "Sequence[Axes]"  # one above the other, with a common scale
    positions: Sequence[float]
    texts: Sequence[str]
    along: Literal["x", "y"] = "x"


def markup(figure: "Figure", strips: Sequence[Strips]) -> Markup:
    """The strips as SVG; `figure` has been drawn, so that its axes have their places."""
    rects = [rect for each in strips for rect in _rects(figure, each)]
    if not rects:
        return Markup()
    return Markup('<g class="hover">{}</g>').format(Markup().join(rects))


def _rects(figure: "Figure", strips: Strips) -> list[Markup]:
    if not len(strips.positions):
        return []
    boxes = [axes.get_window_extent() for axes in strips.axes]
    left, right = boxes[0].x0, boxes[0].x1
    top, bottom = (figure.bbox.height - edge for edge in (boxes[0].y1, boxes[-1].y0))
    by_place: dict[float, list[str]] = {}
    for place, text in zip(_pixels(figure, strips), strips.texts, strict=True):
        by_place.setdefault(round(float(place), 1), []).append(text)
    places = sorted(by_place)
    first, last = (left, right) if strips.along == "x" else (top, bottom)
    between = (np.array(places[1:]) + np.array(places[:-1])) / 2
    edges = np.clip([first, *between, last], first, last)
    rects = []
    for place, a, b in zip(places, edges[:-1], edges[1:], strict=True):
        text = "\n".join(by_place[place])
        if strips.along == "x":
            rects.append(RECT.format(a, top, b - a, bottom - top, text))
        else:
            rects.append(RECT.format(left, a, right - left, b - a, text))
    return rects


def _pixels(figure: "Figure", strips: Strips) -> np.ndarray:
    """Where the positions lie, from the left or from the top of the figure."""
    values = np.asarray(strips.positions, float)
    zeros = np.zeros_like(values)
    if strips.along == "x":
        return strips.axes[0].transData.transform(np.c_[values, zeros])[:, 0]
    return figure.bbox.height - strips.axes[0].transData.transform(np.c_[zeros, values])[:, 1]
