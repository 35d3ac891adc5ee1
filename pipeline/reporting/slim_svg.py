"""matplotlib's SVG, made small: a page with dozens of figures stays below a few hundred kB.

Dropped is what does not change the picture: identifiers that nothing refers to, groups without
attributes, elements without content, invisible backgrounds, decimals beyond a hundredth of a pixel,
the font (the page has its own) and rotations by nothing.
"""

import re
from xml.etree import ElementTree

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
NUMBER = re.compile(r"-?\d+\.\d+")
GEOMETRY = ("d", "x", "y", "width", "height", "transform")
DEFAULTS = (  # of the page's style sheet
    "font-size: 11px",
    "font-family: 'DejaVu Sans', sans-serif",
)
REFERENCE = re.compile(r"url\(#(\w+)\)|^#(\w+)$")


def slim(text: str) -> str:
    """What stands inside <svg> of `text`, an SVG document of matplotlib."""
    root = ElementTree.fromstring(text)
    used = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for match in REFERENCE.finditer(value)
        for name in match.groups()
    }
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        _clean(element, used)
    _prune(root)
    return "".join(ElementTree.tostring(child, "unicode") for child in root)


def _clean(element: ElementTree.Element, used: set[str | None]) -> None:
    """Shorten the attributes of one element."""
    attributes = element.attrib
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if f"{XLINK}href" in attributes:
        attributes["href"] = attributes.pop(f"{XLINK}href")
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for name in GEOMETRY:
        if name in attributes:
            attributes[name] = NUMBER.sub(_rounded, " ".join(attributes[name].split()))
    if "C" not in attributes.get("d", "C"):  # coordinates after those of M or L are of a line, too
        attributes["d"] = attributes["d"].replace(" L ", " ")
    if "style" in attributes:
        parts = [part.strip() for part in attributes["style"].split(";")]
        short = [part.replace(": ", ":") for part in parts if part not in DEFAULTS]
        attributes["style"] = ";".join(short)
    element.tail = None
    if element.tag != "text":
        element.text = None


def _rounded(number: re.Match) -> str:
    return f"{float(number[0]):z.2f}".rstrip("0").rstrip(".")


def _prune(parent: ElementTree.Element) -> None:
    """Remove the children that draw nothing; put those of bare groups in their place."""
    kept: list[ElementTree.Element] = []
    for child in parent:
        _prune(child)
        if child.tag in ("metadata", "style") or _draws_nothing(child):
            continue
        kept += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = kept


def _draws_nothing(element: ElementTree.Element) -> bool:
    if element.tag in ("g", "defs"):
        return not len(element)
    unseen = element.get("style") == "fill:none" and "id" not in element.attrib
    return element.tag == "path" and unseen
