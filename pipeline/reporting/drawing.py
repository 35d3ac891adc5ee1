"""Small figures as inline SVG that follow the page: its font, its colours, light or dark.

matplotlib draws with stand-in colours, which become the page's CSS variables: one drawing serves
both schemes and print. Text stays text. A figure is about as wide as a phone, so that its letters
keep their size there; wide pages put several side by side.
"""

import io
import os
import re

from pipeline.config.paths import REPOSITORY
from pipeline.reporting.page import Html, markup

os.environ.setdefault("MPLCONFIGDIR", str(REPOSITORY / ".cache" / "matplotlib"))  # not in $HOME

import matplotlib as mpl  # reads the variable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 340  # CSS pixels, as are all sizes here
INK, FAINT, LINE, PAPER = "#111101", "#111102", "#111103", "#111104"
N_SERIES = 8
VARIABLES = {INK: "ink", FAINT: "faint", LINE: "line", PAPER: "paper"}
VARIABLES |= {f"#1111{0xA0 + i:x}": f"c{i}" for i in range(N_SERIES)}
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
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
}
mpl.rcParams.update(STYLE)  # nothing else in the project draws


def series(i: int) -> str:
    """The colour of the i-th model, the same in every figure."""
    return f"#1111{0xA0 + i % N_SERIES:x}"


def canvas(height: int = 220, **subplots) -> tuple[Figure, Axes]:
    """An empty figure and its axes, as `plt.subplots` gives them."""
    made = Figure(figsize=(WIDTH / 72, height / 72))
    return made, made.subplots(**subplots)


def heading(axes: Axes, text: str) -> None:
    """What the vertical axis shows, above it: nothing is read sideways."""
    axes.set_title(text, loc="left", fontsize=11, color=FAINT)


def svg(figure: Figure, alt: str) -> Html:
    """The figure as an <svg>; `alt` says what it shows to those who cannot see it."""
    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": alt}):  # equal bytes; ids differ between figures
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # figure_1, axes_1: the same in every figure
    text = re.sub(r"#1111[0-9a-f]{2}", lambda found: f"var(--{VARIABLES[found[0]]})", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    head = (
        f'<svg viewBox="{size[0][9:-1]}" style="max-width:{1.25 * float(size[1]):.0f}px"'
        f' role="img" aria-label="{markup(alt)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Html(re.sub(r"<svg[^>]*>", lambda _: head, text, count=1))
