"""Small figures as inline SVG that follow the page: its font, its colours, light or dark.

matplotlib draws with stand-in colours, which become the page's CSS variables: one drawing serves
both schemes and print. Text stays text. A figure is about as wide as a phone, so that its letters
keep their size there; wide pages put several side by side.

matplotlib is imported by the functions that draw, inside `style`: it looks for a folder of settings
while it is imported.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipeline.config.paths import REPOSITORY
from pipeline.reporting.blocks import Drawing
from pipeline.reporting.hover import Strips, markup
from pipeline.reporting.slim_svg import slim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 340  # CSS pixels, as are all sizes here
INK, FAINT, LINE, PAPER = "#111101", "#111102", "#111103", "#111104"
N_COLOURS = 8
VARIABLES = {INK: "ink", FAINT: "faint", LINE: "line", PAPER: "paper"}
VARIABLES |= {f"#1111{0xA0 + i:x}": f"c{i}" for i in range(N_COLOURS)}
STYLE = {
    "figure.dpi": 72,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.labelsize": 11,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # measured with it; the page's own font is narrower
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is a $
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Figures are drawn inside this context."""
    # matplotlib's cache, which would lie in $HOME
    os.environ.setdefault("MPLCONFIGDIR", str(REPOSITORY / ".cache" / "matplotlib"))
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def colour(i: int) -> str:
    """The colour of the i-th model, the same in every figure."""
    return f"#1111{0xA0 + i % N_COLOURS:x}"


def canvas(height: int = 220, **subplots) -> "tuple[Figure, Axes]":
    """An empty figure and its axes, as `plt.subplots` gives them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72))
    return figure, figure.subplots(**subplots)


def heading(axes: "Axes", text: str) -> None:
    """What the vertical axis shows, above it: no text is rotated."""
    axes.set_title(text, loc="left", fontsize=11, color=FAINT)


def svg(figure: "Figure", alt: str, *strips: Strips) -> Drawing:
    """The figure as inline SVG; `alt` describes it to those who cannot see it.

    `strips` say the values under the pointer.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": alt}):  # equal bytes; ids differ between figures
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    view_box = re.search(r'viewBox="([^"]+)"', text)[1]
    text = re.sub("|".join(VARIABLES), lambda match: f"var(--{VARIABLES[match[0]]})", slim(text))
    width = float(view_box.split()[2])
    # the text in it is escaped: the only markup that the templates do not make
    return Drawing(alt, view_box, round(1.25 * width), Markup(text) + markup(figure, strips))
