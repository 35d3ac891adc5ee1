"""00_data --download: fetch the challenge's files from data.url to data.dir, and check them.

    <url>/train.parquet ...         -> <dir>/train.parquet ...
    <url>/../item_feature.parquet   -> <dir>/../item_feature.parquet, where the organisers have it

Each must be parquet from its first bytes to its footer, and have the published number of rows where
data.published_sizes is set. The first download writes <dir>/download.json: the size and sha256 of
every file. Later downloads compare every file with it, also those that are there already.
"""

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError
from features.settings import ChallengeSettings
from features.store import schema
from features.store.atomic import atomic_file
from features.store.hashing import sha256
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.locks import locked
from pipeline.config.settings import Settings
from pipeline.data.http import fetch
from pipeline.runtime.live import events
from pipeline.runtime.live.work import interval
from pipeline.runtime.progress import Throttle

MANIFEST = "download.json"
MAGIC = b"PAR1"  # the first and the last bytes of a parquet file
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

Manifest = dict[str, dict]  # file name -> bytes, sha256


def run(s: Settings, force: bool) -> None:
    """Fetch missing files and check the others; `force` fetches all and accepts what it gets.

    Raises InputError at the first file that cannot be fetched or is wrong; the others are kept.
    """
    if not isinstance(s.data, ChallengeSettings) or not s.data.url:
        raise InputError(
            f"--download needs data.url, and profile {s.profile} has none: it fetches the"
            " competition's files for microlens_1m, or for challenge with data.url=https://..."
        )
    if not s.data.dir:
        raise InputError("--download needs data.dir, the folder to put the files in")
    with locked(Path(s.data.dir) / ".download.lock", f"00_data --download to {s.data.dir}"):
        _run(s, force)


def _run(s: Settings, force: bool) -> None:
    manifest_file = Path(s.data.dir) / MANIFEST
    manifest = {} if force else read_manifest(manifest_file)
    for name, (url, path) in sources(s.data).items():
        expected = manifest.get(path.name, {})
        if s.data.published_sizes and not force and name in schema.PUBLISHED_SHA256:
            expected = {"sha256": schema.PUBLISHED_SHA256[name]} | expected
        rows = schema.PUBLISHED_ROWS.get(name) if s.data.published_sizes else None
        started, present = time.perf_counter(), path.is_file() and not force
        if present:
            check(path, path, rows, expected)
        else:
            download(url, path, rows, expected)
        entry = manifest[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        write_manifest(manifest_file, manifest)
        result = "is up to date" if present else f"({time.perf_counter() - started:.1f} s)"
        facts = f"{entry['bytes']} bytes sha256={entry['sha256'][:16]}"
        print(f"00_data {path} {facts} {result}", flush=True)


def sources(data: ChallengeSettings) -> dict[str, tuple[str, Path]]:
    """Address and path of every file; optional files lie beside the folder, as the organisers'."""
    url, folder = data.url.rstrip("/"), Path(data.dir)
    by_name = {n: (f"{url}/{n}.parquet", folder / f"{n}.parquet") for n in schema.REQUIRED}
    for name in schema.OPTIONAL:
        beside = Path(os.path.abspath(folder)).parent / f"{name}.parquet"
        inside = folder / beside.name
        path = inside if inside.is_file() else Path(os.path.relpath(beside))
        by_name[name] = f"{url.rpartition('/')[0]}/{beside.name}", path
    return by_name


def download(url: str, path: Path, rows: int | None, expected: dict) -> None:
    progress = DownloadProgress(path.name)
    fetch(
        url,
        path,
        MAGIC,
        lambda part: check(part, path, rows, expected),
        expected.get("bytes"),
        progress,
    )
    progress.close()


def check(file: Path, path: Path, rows: int | None, expected: dict) -> None:
    """Raise InputError where `file`, which is or will become `path`, is not as expected.

    rows      the published number of rows, None where it is not asked for
    expected  bytes and sha256, as far as they are known
    """
    problem = parquet_problem(file, rows)
    size = file.stat().st_size
    if problem is None and expected.get("bytes", size) != size:
        problem = f"bytes {size}, expected {expected['bytes']}"
    if problem is None and "sha256" in expected and sha256(file) != expected["sha256"]:
        problem = f"sha256 {sha256(file)}, expected {expected['sha256']}"
    if problem and file == path:
        raise InputError(f"{path}: {problem}; remove it and download it again (or use --force)")
    if problem:
        raise InputError(
            f"{path}: the fetched file has {problem}; it was removed: try again, or accept the"
            " server's file with --force"
        )


def parquet_problem(path: Path, rows: int | None) -> str | None:
    """Why a file is no parquet with `rows` rows, or None."""
    with path.open("rb") as stream:
        first = stream.read(len(MAGIC))
        stream.seek(max(0, path.stat().st_size - len(MAGIC)))
        last = stream.read()
    if not first == last == MAGIC:
        return f"{first!r} at its start and {last!r} at its end, expected {MAGIC!r} at both"
    try:
        n_rows = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        return f"no parquet footer ({str(error).splitlines()[0]})"
    if rows is not None and n_rows != rows:
        return f"{n_rows} rows, expected the published {rows}"
    return None


def read_manifest(path: Path) -> Manifest:
    """Sizes and sha256 of earlier downloads; empty before the first."""
    if not path.exists():
        return {}
    manifest = read_json(path)
    valid = all(
        isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and isinstance(entry.get("sha256"), str)
        for entry in manifest.values()
    )
    if not valid:
        raise InputError(
            f"{path} does not hold bytes and sha256 of every file; remove it, or download with"
            " --force"
        )
    return manifest


def write_manifest(path: Path, manifest: Manifest) -> None:
    with atomic_file(path) as scratch:
        scratch.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


class DownloadProgress:
    """A live line on a terminal; elsewhere a line every LINE_SECONDS."""

    def __init__(self, name: str) -> None:
        self.name, self.is_due, self.last_line = name, Throttle(), time.monotonic()
        self.first: tuple[float, int] | None = None  # time and bytes of the first call

    def __call__(self, received: int, total: int) -> None:
        now = time.monotonic()
        began, resumed = self.first = self.first or (now, received)
        if events.is_live():
            if self.is_due():
                speed = max(received - resumed, 1) / max(now - began, 1e-9)
                left = interval((total - received) / speed)
                done = f"{received / total:.0%} of {total / 1e6:.1f} MB"
                fields = [f"  {self.name}", done, f"{speed / 1e6:.1f} MB/s", f"{left} left"]
                events.task(self.name, fields)
        elif now - self.last_line > LINE_SECONDS:
            self.last_line = now
            print(f"00_data {self.name} {received / total:.0%} of {total} bytes", flush=True)

    def close(self) -> None:
        events.end(self.name)
