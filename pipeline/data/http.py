"""Download a file over http or https; an interruption loses nothing that has arrived.

NAME grows as NAME.part. NAME.part.json holds the version that the part belongs to: the address and
the ETag or Last-Modified. The next attempt asks for the rest only (RFC 9110, section 14: Range and
If-Range) and starts over where the version has changed. NAME itself appears by one rename, after
the caller's check. A failed attempt is repeated after 1, 2, 4, ... seconds, up to TRIES times in a
row without progress; an attempt that only trickles has failed.

Written by hand, because requests, httpx and urllib3 retry requests but do not resume a file in
parts that are checked against its version.
"""

import contextlib
import fcntl
import http.client
import json
import os
import random
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from features.errors import InputError
from pipeline.data.connection import AttemptFailed, Version, opener, printable, version_of

TRIES = 6  # attempts in a row that bring less than TRICKLE
BACK_OFF, LONGEST_WAIT = 1.0, 60.0  # seconds before the second attempt; before any
TIMEOUT = 30.0  # seconds without a byte
TRICKLE = 64 << 10  # bytes that every TIMEOUT seconds must bring, and every attempt that counts
CHUNK = 1 << 20
TEMPORARY = (408, 425, 429)  # and 5xx: status codes that may change a little later

OnProgress = Callable[[int, int], None]  # (bytes received, bytes of the file)


def fetch(
    url: str,
    path: Path,
    magic: bytes,
    check: Callable[[Path], None],
    size: int | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Download `url` to `path`; resumes where an earlier call was interrupted.

    magic  the first bytes of every such file: an answer that begins otherwise is not stored
    check  raises InputError where the whole file must be refused; its part is removed then
    size   in bytes, where it is known
    Raises InputError that says what failed and where the received bytes are kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _open_alone(part) as stream:
        Download(url, part, stream, magic, size, on_progress).run()
        os.fsync(stream.fileno())
        try:
            check(part)
        except InputError:
            _remove(part)
            raise
        part.replace(path)
        _version_file(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _open_alone(part: Path) -> Iterator[BinaryIO]:
    """Open `part` to append, for this process alone; an empty part is removed at the end."""
    with part.open("ab", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = os.path.samestat(os.fstat(stream.fileno()), part.stat())
        except (BlockingIOError, FileNotFoundError):
            locked = False
        if not locked:
            raise InputError(f"{part} is being written by another download; wait for it to end")
        try:
            yield stream
        finally:
            if part.exists() and part.stat().st_size == 0:
                _remove(part)


@dataclass(frozen=True, slots=True)
class Download:
    """A download in progress: see `fetch`."""

    url: str
    part: Path
    stream: BinaryIO  # of the part, at its end
    magic: bytes
    size: int | None
    on_progress: OnProgress | None

    @property
    def received(self) -> int:
        """Bytes in the part."""
        return os.fstat(self.stream.fileno()).st_size

    @property
    def version(self) -> Version | None:
        """What the part belongs to; None where that is unknown, or of another address."""
        try:
            version = Version(**json.loads(_version_file(self.part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if version.url == self.url and self.received <= version.bytes else None

    def restart(self) -> None:
        """Empty the part, then forget its version: bytes of two versions are never mixed."""
        self.stream.truncate(0)
        _version_file(self.part).unlink(missing_ok=True)

    def run(self) -> None:
        """Attempt until the part is whole, or further attempts are of no use."""
        tries, most = 0, self.received
        while True:
            try:
                return self.attempt()
            except AttemptFailed as failure:
                received = self.received
                tries = 1 if received >= most + TRICKLE else tries + 1
                most = max(most, received)
                if failure.final or tries == TRIES:
                    kept = f"; {received} bytes are kept in {self.part}" if received else ""
                    remedy = "run the same command again to resume"
                    if failure.final:
                        remedy = "is the address right?"
                    raise InputError(f"{self.url}: {failure}{kept}; {remedy}") from None
            time.sleep(min(LONGEST_WAIT, BACK_OFF * 2 ** (tries - 1)) * random.uniform(1, 1.25))

    def attempt(self) -> None:
        """One request for the missing bytes. Raises AttemptFailed unless the part is then whole."""
        version, received = self.version, self.received
        if version is None:
            self.restart()
        elif received == version.bytes:
            return
        headers = {"User-Agent": "mmctr", "Accept-Encoding": "identity"}
        if version and version.validator and received:
            headers |= {"Range": f"bytes={received}-", "If-Range": version.validator}
        try:
            request = urllib.request.Request(self.url, headers=headers)
            with opener().open(request, timeout=TIMEOUT) as response:
                self.receive(response)
        except InputError:
            raise
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is longer than the file on the server
                self.restart()
            final = error.code != 416 and error.code < 500 and error.code not in TEMPORARY
            message = f"the server answers {error.code} {printable(error.reason)}"
            raise AttemptFailed(message, final) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            final = isinstance(reason, ssl.SSLCertVerificationError)
            raise AttemptFailed(f"{type(reason).__name__}: {printable(reason)}", final) from None

    def receive(self, response: http.client.HTTPResponse) -> None:
        """Append the missing bytes of a response, which may begin anywhere before them."""
        chunk = self.first_bytes(response) if response.status == 200 else b""
        total, offset = self.accept(response)
        received, since, since_offset = self.received, time.monotonic(), offset
        while received < total and (chunk := chunk or response.read1(CHUNK)):
            missing = chunk[max(0, received - offset) : total - offset]
            self.append(missing)
            offset, received = offset + len(chunk), received + len(missing)
            chunk = b""
            if self.on_progress:
                self.on_progress(received, total)
            if time.monotonic() - since > TIMEOUT:
                if offset - since_offset < TRICKLE:
                    raise AttemptFailed(
                        f"only {offset - since_offset} bytes came in {TIMEOUT:.0f} seconds"
                    )
                since, since_offset = time.monotonic(), offset
        if received < total:
            raise AttemptFailed(f"the connection ended at {received} of {total} bytes")

    def accept(self, response: http.client.HTTPResponse) -> tuple[int, int]:
        """Check the headers against the part and record the version.

        Returns the bytes of the whole file, and the position where the response begins. Raises
        AttemptFailed where they do not fit the part.
        """
        version, offset = version_of(response, self.url)
        before = self.version
        if offset and before and not version.validator:  # the server has compared: If-Range
            version = replace(version, validator=before.validator)
        if self.size is not None and version.bytes != self.size:
            raise AttemptFailed(
                f"the server has {version.bytes} bytes, expected {self.size}", final=True
            )
        if offset > self.received:
            raise AttemptFailed(
                f"the server answers with bytes from {offset} on, asked for {self.received}"
            )
        if version != before or not version.validator:
            self.restart()
            if offset:
                raise AttemptFailed("the file has changed on the server")
            _version_file(self.part).write_text(
                json.dumps(asdict(version)) + "\n", encoding="utf-8"
            )
        self.check_space(version.bytes)
        return version.bytes, offset

    def first_bytes(self, response: http.client.HTTPResponse) -> bytes:
        """The first bytes of a whole file. Raises AttemptFailed where they are not `magic`."""
        first = response.read(len(self.magic))
        if first == self.magic:
            return first
        if self.magic.startswith(first):
            raise AttemptFailed("the connection ended at once")
        kind = printable(response.headers.get("Content-Type"))
        raise AttemptFailed(
            f"the server sends something else ({kind}, {first!r}...): there is no such file, or"
            " a proxy wants a login",
            final=True,
        )

    def append(self, data: bytes) -> None:
        """Write `data`. A full disk is an InputError: another attempt would not help."""
        view = memoryview(data)
        try:
            while view:
                view = view[self.stream.write(view) :]
        except OSError as error:
            raise InputError(
                f"{self.part} cannot be written: {error.strerror}; the received bytes are kept:"
                " make space and run the same command again"
            ) from None

    def check_space(self, total: int) -> None:
        needed, free = total - self.received, shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise InputError(
                f"{self.part} needs {needed} bytes more, the disk has {free}: make space and run"
                " the same command again"
            )


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remove(part: Path) -> None:
    _version_file(part).unlink(missing_ok=True)
    part.unlink()
