"""Submissions made to do harm: zip bombs, endless files, ids that are no integers."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from submissions import archive
from submissions.check import check, read_ids

ROOT = Path(__file__).resolve().parents[2]


def bomb(claimed: int, size: int) -> bytes:
    """A zip of `size` zeros that its directory says are `claimed`."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(archive.NAME, bytes(size))
    data = bytearray(sink.getvalue())
    at = data.rindex(archive.ENTRY)
    struct.pack_into("<I", data, at + 16, zlib.crc32(bytes(min(claimed, size))))
    struct.pack_into("<I", data, at + 24, claimed)
    return bytes(data)


def test_a_zip_that_unpacks_to_more_than_it_says_takes_no_more_memory():
    data = bomb(1000, 200 << 20)
    assert len(data) < 1 << 20
    tracemalloc.start()
    try:
        found = archive.extract(data)
    except InputError:
        found = b""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) <= 1000
    assert peak < 16 << 20


def test_zips_of_too_much_are_refused_before_they_are_opened(tmp_path):
    with pytest.raises(InputError, match="would unpack to 536870913 bytes; expected at most"):
        archive.extract(bomb(archive.MAX_BYTES + 1, 10))
    with pytest.raises(InputError, match="the zip holds more than 1000 files"):
        archive.extract(b"PK" + archive.ENTRY * 1001)
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.truncate(archive.MAX_FILE + 1)
    with pytest.raises(InputError, match=r"large.csv has \d+ bytes; expected at most"):
        check(path)
    os.mkfifo(tmp_path / "pipe.csv")
    for endless in (tmp_path / "pipe.csv", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match="is no file"):
            check(endless)


@pytest.mark.parametrize("values", [[0.5, 1.0], ["a", "b"], [True, False]])
def test_ids_that_are_no_integers_are_not_rounded_to_some(tmp_path, values):
    pq.write_table(pa.table({"ID": values}), tmp_path / "test.parquet")
    with pytest.raises(InputError, match="expected integers in ID"):
        read_ids(tmp_path / "test.parquet")
