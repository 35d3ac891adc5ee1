"""matplotlib's SVG made small draws the same picture."""

import re

from pipeline.reporting.slim_svg import slim

NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def test_what_draws_nothing_goes_and_what_is_referred_to_stays():
    text = f"""<svg {NAMESPACES}><metadata>when</metadata><defs><style>*{{}}</style></defs>
    <g id="figure_1"><g id="patch_1"><path d="M 0 0 L 1 1" style="fill: none"/></g>
    <g id="ticks"/><g clip-path="url(#c1)"><use xlink:href="#m1" x="1.23456" y="-0.0001"/></g>
    <defs><path id="m1" d="M 0 1" style="fill: none"/></defs></g>
    <defs><clipPath id="c1"><rect x="0" y="0.126" width="3.999" height="2"/></clipPath></defs>
    <text style="font-size: 11px; fill: red" transform="rotate(-0 1 2)"> a &lt; b </text></svg>"""
    assert slim(text) == (
        '<g clip-path="url(#c1)"><use x="1.23" y="0" href="#m1" /></g>'
        '<defs><path id="m1" d="M 0 1" style="fill:none" /></defs>'
        '<defs><clipPath id="c1"><rect x="0" y="0.13" width="4" height="2" /></clipPath></defs>'
        '<text style="fill:red"> a &lt; b </text>'
    )


def test_lines_lose_their_letters_and_curves_keep_them():
    line = "M 0 0 \nL 1.005 2.5 \nL 3 4 \nz\n"
    curve = "M 0 0 \nC 1 1 2 2 3 3 \nL 4 4 \n"
    text = f'<svg {NAMESPACES}><path d="{line}"/><path d="{curve}"/></svg>'
    assert re.findall(r'd="(.*?)"', slim(text)) == [
        "M 0 0 1 2.5 3 4 z",
        "M 0 0 C 1 1 2 2 3 3 L 4 4",
    ]
