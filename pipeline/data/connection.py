"""Which servers a download talks to, and what it accepts from them.

Only http and https, certificates verified; a redirect never leads from https to http or to another
protocol. A response must say how long the file is, and must not be compressed.
"""

import functools
import http.client
import re
import ssl
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit


class AttemptFailed(Exception):
    """An attempt failed; `final`: the next one would fail in the same way."""

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a part belongs to: parts of equal versions may be joined."""

    url: str
    validator: str  # a strong ETag, or Last-Modified; empty: two versions cannot be told apart
    bytes: int


def version_of(response: http.client.HTTPResponse, url: str) -> tuple[Version, int]:
    """The version of the file that a response sends, and where in the file it begins."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        encoding = printable(headers["Content-Encoding"])
        raise AttemptFailed(f"the server sends {encoding}, which was not asked for", final=True)
    length, offset = headers.get("Content-Length", ""), 0
    if response.status == 206:
        content_range = headers["Content-Range"] or ""
        match = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", content_range)
        if not match:
            raise AttemptFailed(f"the server answers with range {printable(content_range)}")
        offset, length = int(match[1]), match[2]
    elif response.status != 200:
        raise AttemptFailed(f"the server answers {response.status}", final=True)
    if not re.fullmatch(r"\d{1,18}", length):
        raise AttemptFailed("the server does not say how long the file is", final=True)
    tag = headers.get("ETag", "")
    weak = not tag or tag.startswith("W/")
    validator = headers.get("Last-Modified", "") if weak else tag
    return Version(url=url, validator=validator, bytes=int(length)), offset


def printable(text: object) -> str:
    """What a server sent, fit for one line."""
    return ascii(str(text))[1:-1][:100]


@functools.cache  # reading the certificates takes a while
def opener() -> urllib.request.OpenerDirector:
    """http and https only, certificates verified; proxies come from the environment."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        director.add_handler(handler)
    return director


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise AttemptFailed(f"the server redirects to {printable(newurl)}", final=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
