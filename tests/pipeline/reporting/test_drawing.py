"""Figures as inline SVG."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Drawing
from pipeline.reporting.hover import Strips
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
    assert not re.search(r"(fill|stroke):(?!none|var\()", text)
    styles = re.findall(r'<text style="([^"]*)"', text)
    assert "a point" in text
    assert all("fill:var(--" in style for style in styles)  # without one it would be black
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


def test_a_drawing_is_small_and_names_only_what_is_referred_to():
    text = line().content
    names = re.findall(r' id="(\w+)"', text)
    assert names
    assert all(f"#{name}" in text for name in names)
    assert "<metadata" not in text
    assert not re.search(r"\d\.\d{3}", text)  # a hundredth of a pixel is enough
    assert not re.search(r"<g>|<g */>|<g></g>", text)
    assert len(text) < 6000


def strips(along: str, positions: list[float], texts: list[str]) -> list[dict]:
    """Geometry and text of what lies on a drawing from 0 to 1 along both axes."""
    with drawing.style():
        canvas, axes = drawing.canvas()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        text = drawing.svg(canvas, "strips", Strips([axes], positions, texts, along)).content
    (group,) = re.findall(r'<g class="hover">.*?</g>', text, re.DOTALL)
    rects = re.findall(
        r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"><title>(.*?)</title>',
        group,
        re.DOTALL,
    )
    keys = ("x", "y", "width", "height")
    return [dict(zip(keys, map(float, rect), strict=False)) | {"text": rect[-1]} for rect in rects]


def test_every_place_of_the_axes_belongs_to_the_nearest_value():
    low, middle, high = strips("x", [0.9, 0.1, 0.5], ["c", "a", "b"])
    assert [strip["text"] for strip in (low, middle, high)] == ["a", "b", "c"]
    assert low["x"] + low["width"] == pytest.approx(middle["x"], abs=0.2)
    assert middle["x"] + middle["width"] == pytest.approx(high["x"], abs=0.2)
    whole = sum(strip["width"] for strip in (low, middle, high))
    assert low["width"] == pytest.approx(0.3 * whole, rel=0.02)
    assert len({strip["height"] for strip in (low, middle, high)}) == 1
    top, bottom = strips("y", [0.2, 0.8], ["low", "high"])
    assert (top["text"], bottom["text"]) == ("high", "low")
    assert top["y"] + top["height"] == pytest.approx(bottom["y"], abs=0.2)


def test_values_at_one_place_share_a_strip_and_text_is_escaped():
    one, two = strips("x", [0.2, 0.2, 0.7], ["a", HOSTILE, "b"])
    assert one["text"].startswith("a\n")
    assert "<" not in one["text"]
    assert two["text"] == "b"
    assert strips("x", [0.5], ["alone"])[0]["text"] == "alone"
