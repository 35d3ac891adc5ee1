"""A web server on the loopback interface that serves one file, with faults that a test sets."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@dataclass
class Site:
    """A file and its server. Each request takes the next fault; with none left, it succeeds."""

    data: bytes
    faults: list[Callable] = field(default_factory=list)
    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)  # their headers
    served: int = 0  # faults

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()[:12]}"'

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/MicroLens_1M_x1"


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            site.requests.append(dict(self.headers) | {"path": self.path})
            self.close_connection = True
            fault = site.faults.pop(0) if site.faults else None
            site.served += fault is not None
            with contextlib.suppress(OSError):  # the client has gone
                (fault or serve)(self, site)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(to, status: int, headers: dict[str, object], body: bytes) -> None:
    to.send_response(status)
    for name, value in headers.items():
        to.send_header(name, str(value))
    to.end_headers()
    to.wfile.write(body)


def requested_start(to, site: Site) -> int:
    """Where the requested range begins; 0 where all is requested, or the version has changed."""
    value = to.headers.get("Range")
    if value is None or to.headers.get("If-Range", site.tag) != site.tag:
        return 0
    return int(value.removeprefix("bytes=").removesuffix("-"))


def serve(to, site: Site, body=lambda rest: rest, extra: int = 0, **headers: object) -> None:
    """Answer correctly; `body` changes the bytes, `extra` the length in the header."""
    begin, size = requested_start(to, site), len(site.data)
    rest = site.data[begin:]
    fields = {"ETag": site.tag, "Content-Length": len(rest) + extra} | headers
    if begin:
        fields |= {"Content-Range": f"bytes {begin}-{size - 1}/{size}"}
    fields = {name: value for name, value in fields.items() if value is not None}
    answer(to, 206 if begin else 200, fields, body(rest))


def cut(to, site: Site, share: float = 0.4) -> None:
    serve(to, site, lambda rest: rest[: int(len(rest) * share)])


def cut_at_once(to, site: Site) -> None:
    """Not a byte."""


def garbage(to, site: Site) -> None:
    to.wfile.write(b"\x00\xff no status line\r\n\r\n")


def too_long(to, site: Site) -> None:
    serve(to, site, extra=1000)


def too_short(to, site: Site) -> None:
    answer(to, 200, {"Content-Length": len(site.data) - 1000, "ETag": site.tag}, site.data)


def no_ranges(to, site: Site) -> None:
    answer(to, 200, {"Content-Length": len(site.data), "ETag": site.tag}, site.data)


def no_ranges_and_cut(to, site: Site) -> None:
    half = site.data[: len(site.data) // 5]
    answer(to, 200, {"Content-Length": len(site.data), "ETag": site.tag}, half)


def corrupt(to, site: Site) -> None:
    """A byte in the last third, which every range of these tests holds."""
    serve(to, site, lambda rest: rest[:-90] + bytes([rest[-90] ^ 0xFF]) + rest[-89:])


def page(to, site: Site) -> None:
    answer(to, 200, {"Content-Type": "text/html", "Content-Length": len(PAGE)}, PAGE)


def page_without_length(to, site: Site) -> None:
    answer(to, 200, {"Content-Type": "text/html"}, PAGE)


def without_length(to, site: Site) -> None:
    answer(to, 200, {"ETag": site.tag}, site.data)


def status(code: int, body: bytes = PAGE, **headers: object) -> Callable:
    return lambda to, _: answer(to, code, {"Content-Length": len(body)} | headers, body)


def redirect(to, site: Site) -> None:
    target = f"http://127.0.0.1:{site.port}/elsewhere"
    answer(to, 302, {"Location": target, "Content-Length": 0}, b"")


def redirect_to(target: str) -> Callable:
    return lambda to, _: answer(to, 302, {"Location": target, "Content-Length": 0}, b"")


def gzipped(to, site: Site) -> None:
    serve(to, site, **{"Content-Encoding": "gzip"})


def wrong_range(to, site: Site) -> None:
    """Bytes that begin after the requested ones."""
    begin, size = requested_start(to, site) + 10, len(site.data)
    fields = {"Content-Range": f"bytes {begin}-{size - 1}/{size}", "ETag": site.tag}
    answer(to, 206, fields | {"Content-Length": size - begin}, site.data[begin:])


def nonsense_range(to, site: Site) -> None:
    answer(to, 206, {"Content-Range": "bytes x-y/*", "Content-Length": 3}, b"abc")


def not_satisfiable(to, site: Site) -> None:
    answer(to, 416, {"Content-Range": f"bytes */{len(site.data)}", "Content-Length": 0}, b"")
