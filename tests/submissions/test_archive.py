"""The zip around a submission."""

import contextlib
import zipfile
import zlib

import numpy as np
import pytest

from features.errors import InputError
from submissions import archive
from submissions.check import check
from tests.helpers.submission_files import GOOD, IDS, csv, zipped


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "got 0 files prediction.csv"),
        ([("mine/", b""), ("mine/prediction.csv", GOOD)], "lies in a folder"),
        ([("mine\\prediction.csv", GOOD)], "lies in a folder"),
        ([("predictions.csv", GOOD)], "'predictions.csv' does not belong"),
        ([("Prediction.csv", GOOD)], "'Prediction.csv' does not belong"),
        ([("prediction.csv", GOOD), ("notes.txt", b"x")], "'notes.txt' does not belong"),
        ([("../prediction.csv", GOOD)], "points outside"),
        ([("/prediction.csv", GOOD)], "points outside"),
        ([("C:\\prediction.csv", GOOD)], "points outside"),
    ],
)
def test_refuses_the_zip(tmp_path, files, message):
    errors = check(zipped(tmp_path, *files), IDS).errors
    assert any(message in error for error in errors), errors


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_two_files_of_the_same_name(tmp_path):
    path = zipped(tmp_path, ("prediction.csv", GOOD), ("prediction.csv", GOOD))
    assert check(path, IDS).errors == [
        "got 2 files prediction.csv at the root of the zip; expected exactly one"
    ]


def test_refuses_what_would_unpack_to_an_absurd_size_without_unpacking(tmp_path, monkeypatch):
    path, opened, make = zipped(tmp_path, ("prediction.csv", GOOD)), [], zlib.decompressobj

    def counted(*arguments):
        opened.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    assert check(path, IDS).errors == []
    assert len(opened) == 1  # so that a count of none below means something
    monkeypatch.setattr(archive, "MAX_BYTES", len(GOOD) - 1)
    assert "would unpack to" in check(path, IDS).errors[0]
    assert len(opened) == 1


def test_refuses_an_encrypted_zip(tmp_path):
    data = bytearray(zipped(tmp_path, ("prediction.csv", GOOD)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    assert "encrypted" in check(csv(tmp_path, bytes(data)), IDS).errors[0]


def test_refuses_a_compression_that_not_every_unzip_reads(tmp_path):
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as out:
        out.writestr("prediction.csv", GOOD)
    assert "compression method" in check(path, IDS).errors[0]


def test_a_broken_zip_is_refused_wherever_it_is_broken(tmp_path):
    whole = zipped(tmp_path, ("prediction.csv", GOOD)).read_bytes()
    rng = np.random.default_rng(0)
    cut = [whole[:n] for n in range(len(whole))]
    flipped = []
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(len(data), size=2)] ^= rng.integers(1, 256, 2).astype(np.uint8)
        flipped.append(data.tobytes())
    for data in cut + flipped:
        with contextlib.suppress(InputError):
            assert archive.extract(data) == GOOD  # a byte that no reader looks at
    assert (
        check(csv(tmp_path, b"nothing of a zip", "upload.zip"), IDS)
        .errors[0]
        .startswith("the zip is broken")
    )
