"""Submissions for tests: a csv, or a zip of any files."""

import zipfile

import numpy as np

IDS = np.arange(4)
GOOD = b"ID,Task2\n0,0.1\n1,0.25\n2,1\n3,0\n"


def csv(tmp_path, data, name="scores.txt"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def zipped(tmp_path, *files, name="upload.zip"):
    """A zip of (name, bytes) pairs, also of names that no archiver would write."""
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for entry, data in files:
            out.writestr(entry, data)
    return path
