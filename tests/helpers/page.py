"""report.html, parsed: what it shows, and that a browser fetches and runs nothing else."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from pipeline.reporting import report
from pipeline.reporting.formatting import NBSP
from pipeline.reporting.run import Run


class Page(HTMLParser):
    """A parsed document. Raises where tags do not nest, or a browser would fetch or run something.

    Allowed are the page's own script, links within the page, files in the page to save, and links
    to other pages, which a browser follows on a click alone.
    """

    EMPTY = ("meta", "br", "img", "link", "input", "hr")
    ADDRESSES = ("src", "srcset", "href", "xlink:href", "data", "poster", "action", "background")
    RUN_OR_FETCH = ("fetch", "XMLHttpRequest", "WebSocket", "EventSource", "import", "sendBeacon")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.active: list[str] = []
        self.texts: list[str] = []  # as a browser shows or reads them out
        self.ids: list[str] = []
        self.policy = ""
        self.script = ""
        self.feed(document)
        self.close()
        assert self.open == []
        assert self.active == []
        assert "@import" not in document
        assert not re.search(r"url\((?!#)", document)
        assert not re.search("|".join(self.RUN_OR_FETCH), self.script)
        assert self.policy.startswith("default-src 'none';")
        digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in self.policy
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in ("link", "iframe", "img", "object", "embed", "base", "form", "video", "audio"):
            self.active.append(tag)
        if tag == "script" and (attributes or self.script):
            self.active.append(tag)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        links = [v for k, v in attributes.items() if k in self.ADDRESSES]
        self.active += [link for link in links if not self.is_harmless(tag, attributes, link)]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.active += [k for k in attributes if k.startswith("on")]
        self.texts += [v for k, v in attributes.items() if k == "aria-label"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    @staticmethod
    def is_harmless(tag: str, attributes: dict, link: str) -> bool:
        saved = link.startswith("data:text/csv;charset=utf-8,") and "download" in attributes
        return link.startswith("#") or (tag == "a" and (saved or link.startswith("https://")))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.script += data
        else:
            self.texts.append(data)


def build(run: Run) -> str:
    document = report.build(run)
    Page(document)
    return document.replace(NBSP, " ")
