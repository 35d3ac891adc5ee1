"""A file over http or https, so that nothing that has arrived is lost: parts, resume, retries.

NAME grows as NAME.part. NAME.part.json says of which version of which address it is a part (ETag or
Last-Modified), so that the next try asks for the rest only (RFC 9110, section 14: Range and
If-Range) and starts over where the version has changed. NAME itself appears by one rename, after
the caller's check. A try that fails is tried again after 1, 2, 4, ... seconds; tries are counted
from the last one that brought something, and one that trickles has failed.
"""

import contextlib
import fcntl
import functools
import http.client
import json
import os
import random
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from features.errors import InputError

TRIES = 6  # in a row that bring nothing to speak of
BACK_OFF, LONGEST = 1.0, 60.0  # seconds before the second try; before any
TIMEOUT = 30.0  # seconds without a byte
TRICKLE = 64 << 10  # bytes that TIMEOUT seconds must bring, and a try to count
CHUNK = 1 << 20
AGAIN = (408, 425, 429)  # and 5xx: what may be otherwise a little later

Progress = Callable[[int, int], None]  # (bytes here, bytes of the file)


class Fault(Exception):
    """A try that failed; `final`: the next one would fail alike."""

    def __init__(self, found: str, final: bool = False) -> None:
        super().__init__(found)
        self.final = final


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Of what a part is a part: two parts of equal versions go together."""

    url: str
    validator: str  # a strong ETag, or Last-Modified; empty: nothing to tell two versions apart
    bytes: int


def fetch(
    url: str,
    path: Path,
    starts: bytes,
    check: Callable[[Path], None],
    size: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring `url` to `path`, going on where an earlier call was cut off.

    starts  the first bytes of any such file: what begins otherwise is not stored
    check   raises InputError where the whole file may not be kept; its part is removed then
    size    in bytes, where it is known
    Raises InputError with what went wrong and where what has arrived is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _opened(part) as stream:
        Download(url, part, stream, starts, size, progress).persist()
        os.fsync(stream.fileno())
        try:
            check(part)
        except InputError:
            _forget(part)
            raise
        part.replace(path)
        _version_file(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[BinaryIO]:
    """`part`, to append to, for this process alone; an empty one does not stay."""
    with part.open("ab", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(stream.fileno()), part.stat())
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise InputError(f"{part} is being written by another download; wait for it to end")
        try:
            yield stream
        finally:
            if part.exists() and part.stat().st_size == 0:
                _forget(part)


@dataclass(frozen=True, slots=True)
class Download:
    """One file on its way: see `fetch`."""

    url: str
    part: Path
    stream: BinaryIO  # of the part, at its end
    starts: bytes
    size: int | None
    progress: Progress | None

    @property
    def here(self) -> int:
        """Bytes that have arrived."""
        return os.fstat(self.stream.fileno()).st_size

    @property
    def known(self) -> Version | None:
        """What the part is a part of; None where that is nothing of this address."""
        try:
            found = Version(**json.loads(_version_file(self.part).read_text()))
            return found if found.url == self.url and self.here <= found.bytes else None
        except (OSError, ValueError, TypeError):
            return None

    def restart(self) -> None:
        """Empty the part first: bytes of one version never stand beside the name of another."""
        self.stream.truncate(0)
        _version_file(self.part).unlink(missing_ok=True)

    def persist(self) -> None:
        """Try until the part is whole, or it is of no use to go on."""
        tries, most = 0, self.here
        while True:
            try:
                return self.attempt()
            except Fault as fault:
                here = self.here
                tries = 1 if here >= most + TRICKLE else tries + 1
                most = max(most, here)
                if fault.final or tries == TRIES:
                    kept = f"; {here} bytes are kept in {self.part}" if here else ""
                    remedy = "is the address right?" if fault.final else "run this again to go on"
                    raise InputError(f"{self.url}: {fault}{kept}; {remedy}") from None
            time.sleep(min(LONGEST, BACK_OFF * 2 ** (tries - 1)) * random.uniform(1, 1.25))

    def attempt(self) -> None:
        """One request for what is lacking. Raises Fault unless the part is whole afterwards."""
        known, here = self.known, self.here
        if known is None:
            self.restart()
        elif here == known.bytes:
            return
        headers = {"User-Agent": "mmctr", "Accept-Encoding": "identity"}
        if known and known.validator and here:
            headers |= {"Range": f"bytes={here}-", "If-Range": known.validator}
        try:
            request = urllib.request.Request(self.url, headers=headers)
            with _opener().open(request, timeout=TIMEOUT) as answer:
                self.receive(answer)
        except InputError:
            raise
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is no beginning of what there is now
                self.restart()
            final = error.code != 416 and error.code < 500 and error.code not in AGAIN
            raise Fault(f"the server answers {error.code} {_shown(error.reason)}", final) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            final = isinstance(reason, ssl.SSLCertVerificationError)
            raise Fault(f"{type(reason).__name__}: {_shown(reason)}", final) from None

    def receive(self, answer: http.client.HTTPResponse) -> None:
        """Append what is lacking of an answer, which may begin anywhere before that."""
        first = self.beginning(answer) if answer.status == 200 else b""
        version, at = _version(answer, self.url)
        known = self.known
        if at and known and not version.validator:  # the server has compared: If-Range
            version = replace(version, validator=known.validator)
        if self.size is not None and version.bytes != self.size:
            raise Fault(f"the server has {version.bytes} bytes, expected {self.size}", final=True)
        if at > self.here:
            raise Fault(f"the server answers with bytes from {at} on, asked for {self.here}")
        if version != known or not version.validator:
            self.restart()
            if at:
                raise Fault("the file has changed on the server")
            _version_file(self.part).write_text(json.dumps(asdict(version)) + "\n")
        self.check_space(version.bytes)
        here, since, before = self.here, time.monotonic(), at
        while here < version.bytes and (chunk := first or answer.read1(CHUNK)):
            first = b""
            fresh = chunk[max(0, here - at) : version.bytes - at]
            self.append(fresh)
            at, here = at + len(chunk), here + len(fresh)
            if self.progress:
                self.progress(here, version.bytes)
            if time.monotonic() - since > TIMEOUT:
                if at - before < TRICKLE:
                    raise Fault(f"only {at - before} bytes came in {TIMEOUT:.0f} seconds")
                since, before = time.monotonic(), at
        if here < version.bytes:
            raise Fault(f"the connection ended at {here} of {version.bytes} bytes")

    def beginning(self, answer: http.client.HTTPResponse) -> bytes:
        """The first bytes of a whole file; raises Fault where they are those of something else."""
        first = answer.read(len(self.starts))
        if first == self.starts:
            return first
        if self.starts.startswith(first):
            raise Fault("the connection ended at once")
        kind = _shown(answer.headers.get("Content-Type"))
        raise Fault(
            f"the server sends something else ({kind}, {first!r}...): there is no such file, or"
            " a proxy wants a login",
            final=True,
        )

    def append(self, data: bytes) -> None:
        """Write; a full disk is no fault of the network."""
        view = memoryview(data)
        try:
            while view:
                view = view[self.stream.write(view) :]
        except OSError as error:
            raise InputError(
                f"{self.part} cannot be written: {error.strerror}; what is there is kept: make"
                " space and run the same command again"
            ) from None

    def check_space(self, total: int) -> None:
        needed, free = total - self.here, shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise InputError(
                f"{self.part} needs {needed} bytes more, the disk has {free}: make space and run"
                " the same command again"
            )


def _version(got: http.client.HTTPResponse, url: str) -> tuple[Version, int]:
    """What an answer is of, and where in the file it begins."""
    if got.headers.get("Content-Encoding", "identity") != "identity":
        raise Fault(f"the server sends {_shown(got.headers['Content-Encoding'])} unasked", True)
    length, at = got.headers.get("Content-Length", ""), 0
    if got.status == 206:
        found = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", got.headers["Content-Range"] or "")
        if not found:
            raise Fault(f"the server answers with range {_shown(got.headers['Content-Range'])}")
        at, length = int(found[1]), found[2]
    elif got.status != 200:
        raise Fault(f"the server answers {got.status}", final=True)
    if not re.fullmatch(r"\d{1,18}", length):
        raise Fault("the server does not say how long the file is", final=True)
    tag = got.headers.get("ETag", "")
    weak = not tag or tag.startswith("W/")
    validator = got.headers.get("Last-Modified", "") if weak else tag
    return Version(url=url, validator=validator, bytes=int(length)), at


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    _version_file(part).unlink(missing_ok=True)
    part.unlink()


def _shown(found: object) -> str:
    """What a server said, fit for one line."""
    return ascii(str(found))[1:-1][:100]


@functools.cache  # reading the certificates takes a while
def _opener() -> urllib.request.OpenerDirector:
    """http and https only, certificates verified; proxies as the environment has them."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise Fault(f"the server points to {_shown(newurl)}", final=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
