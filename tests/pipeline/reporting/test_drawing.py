"""Figures as inline SVG."""

import re
import subprocess
import sys
from html.parser import HTMLParser

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Drawing
from tests.helpers.report import HOSTILE


def line(label: str = "a point", alt: str = "a line") -> Drawing:
    with drawing.style():
        canvas, axes = drawing.canvas()
        axes.plot([0, 1], [0, 1], "o-", color=drawing.colour(9))
        axes.set_xlabel("epoch")
        axes.annotate(label, (0.5, 0.5), in_layout=False)
        return drawing.svg(canvas, alt)


def test_a_drawing_takes_every_colour_and_font_from_the_page_and_keeps_text():
    text = line().content
    assert not re.search(r"(fill|stroke): (?!none|var\()", text)
    styles = re.findall(r'<text style="([^"]*)"', text)
    assert "a point" in text
    assert all("fill: var(--" in style for style in styles)  # without one it would be black
    assert "var(--c1)" in text  # the ninth colour is the first again, the tenth the second
    assert ">epoch</text>" in text


def test_equal_data_give_equal_bytes():
    assert line() == line()


def test_text_is_escaped_and_a_dollar_is_a_dollar():
    text = line(label=HOSTILE).content
    assert "<script" not in text
    assert "<img" not in text
    assert "-->" not in text
    words: list[str] = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(text)
    assert HOSTILE in "".join(words)


def test_importing_the_report_changes_nothing_and_drawing_keeps_its_style_to_itself():
    code = """
import os, sys
os.environ.pop("MPLCONFIGDIR", None)
import pipeline.reporting.report
assert "MPLCONFIGDIR" not in os.environ, "environment"
assert "matplotlib" not in sys.modules, "matplotlib"
import matplotlib
plain = dict(matplotlib.rcParams)
from pipeline.reporting import drawing
with drawing.style():
    assert matplotlib.rcParams["svg.fonttype"] == "none"
assert dict(matplotlib.rcParams) == plain, "rcParams"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
