"""What 00_data --download does: the challenge's files from data.url to data.dir, checked.

    <url>/train.parquet ...         -> <dir>/train.parquet ...
    <url>/../item_feature.parquet   -> <dir>/../item_feature.parquet, where the organisers have it

Each must be parquet from its first bytes to its footer, with the published rows where
data.published_sizes asks for them. The first download writes <dir>/download.json: size and sha256
of every file. Later ones compare with it, files that are there already too.
"""

import json
import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from features.errors import InputError
from features.store import schema
from features.store.atomic import atomic_file
from features.store.hashing import sha256
from features.store.schema import ChallengeSettings
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.locks import locked
from pipeline.config.load import Settings
from pipeline.data.http import fetch

MANIFEST = "download.json"
MAGIC = b"PAR1"  # the first and the last bytes of a parquet file
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

Known = dict[str, dict]  # file name -> bytes, sha256


def run(s: Settings, force: bool) -> None:
    """Fetch what is not there, check what is; `force` fetches all and takes what the server has.

    Raises InputError at the first file that cannot be had; the others are kept.
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
    manifest = Path(s.data.dir) / MANIFEST
    known = {} if force else read_manifest(manifest)
    for name, (url, path) in sources(s.data).items():
        expected = known.get(path.name, {})
        if s.data.published_sizes and not force and name in schema.PUBLISHED_SHA256:
            expected = {"sha256": schema.PUBLISHED_SHA256[name]} | expected
        rows = schema.PUBLISHED_ROWS.get(name) if s.data.published_sizes else None
        started, there = time.perf_counter(), path.is_file() and not force
        if there:
            check(path, path, rows, expected)
        else:
            bring(url, path, rows, expected)
        found = known[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        write_manifest(manifest, known)
        how = "kept" if there else f"({time.perf_counter() - started:.1f} s)"
        said = f"{found['bytes']} bytes sha256={found['sha256'][:16]}"
        print(f"00_data {path} {said} {how}", flush=True)


def sources(data: ChallengeSettings) -> dict[str, tuple[str, Path]]:
    """Address and place of every file: beside the folder, where only the organisers have it so."""
    url, folder = data.url.rstrip("/"), Path(data.dir)
    found = {n: (f"{url}/{n}.parquet", folder / f"{n}.parquet") for n in schema.REQUIRED}
    for name in schema.OPTIONAL:
        beside = Path(os.path.abspath(folder)).parent / f"{name}.parquet"
        inside = folder / beside.name
        place = inside if inside.is_file() else Path(os.path.relpath(beside))
        found[name] = f"{url.rpartition('/')[0]}/{beside.name}", place
    return found


def bring(url: str, path: Path, rows: int | None, expected: dict) -> None:
    progress = Progress(path.name)
    fetch(
        url,
        path,
        MAGIC,
        lambda part: check(part, path, rows, expected),
        expected.get("bytes"),
        progress,
    )
    progress.close()


def check(found: Path, path: Path, rows: int | None, expected: dict) -> None:
    """Raise InputError unless `found`, which is or is to become `path`, is what it should be."""
    problem = parquet_problem(found, rows)
    for key, value in (("bytes", found.stat().st_size), ("sha256", None)):
        if problem is None and key in expected:
            value = value or sha256(found)
            if value != expected[key]:
                problem = f"{key} {value}, expected {expected[key]}"
    if problem and found == path:
        raise InputError(f"{path}: {problem}; remove it and download it again (or use --force)")
    if problem:
        raise InputError(
            f"{path}: what was fetched has {problem}; it was removed: try again, or take what the"
            " server has now with --force"
        )


def parquet_problem(path: Path, rows: int | None) -> str | None:
    """What keeps a file from being parquet with so many rows, or None."""
    with path.open("rb") as stream:
        first = stream.read(len(MAGIC))
        stream.seek(max(0, path.stat().st_size - len(MAGIC)))
        last = stream.read()
    if not first == last == MAGIC:
        return f"{first!r} at its begin and {last!r} at its end, expected {MAGIC!r} at both"
    try:
        found = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        return f"no parquet footer ({str(error).splitlines()[0]})"
    if rows is not None and found != rows:
        return f"{found} rows, expected the published {rows}"
    return None


def read_manifest(path: Path) -> Known:
    """Sizes and sums of earlier downloads; none before the first."""
    if not path.exists():
        return {}
    found = read_json(path)
    fine = all(
        isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and isinstance(entry.get("sha256"), str)
        for entry in found.values()
    )
    if not fine:
        raise InputError(f"{path} holds no sizes and sums; remove it, or download with --force")
    return found


def write_manifest(path: Path, known: Known) -> None:
    with atomic_file(path) as scratch:
        scratch.write_text(json.dumps(known, indent=1) + "\n")


class Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str) -> None:
        self.name, self.said, self.bar = name, time.monotonic(), None

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            if self.bar is None:
                self.bar = tqdm(
                    total=total,
                    initial=done,
                    desc=self.name,
                    unit="B",
                    unit_scale=True,
                    leave=False,
                )
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.said > LINE_SECONDS:
            self.said = time.monotonic()
            print(f"00_data {self.name} {done / total:.0%} of {total} bytes", flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
