"""The zip around prediction.csv: read only where it holds that one file at its root."""

import io
import zipfile
import zlib
from pathlib import PurePosixPath

from features.errors import InputError

NAME = "prediction.csv"
MAX_BYTES = 512 << 20  # uncompressed; a real submission has about 10 MB
MAX_FILE = MAX_BYTES + (1 << 16)  # on the disk: a zip adds its directory
MAX_ENTRIES = 1000  # listed in an error; a real submission has one
ENTRY = b"PK\x01\x02"  # begins each entry in the directory of a zip
ENCRYPTED = 0x1  # bit 0 of a zip entry's flags
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what every unzip can read
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)  # by fuzzing


def is_zip(name: str, data: bytes) -> bool:
    """Whether it is meant as a zip, by its name or its first bytes; it may be a broken one."""
    return name.lower().endswith(".zip") or data.startswith(b"PK")


def extract(data: bytes) -> bytes:
    """The bytes of prediction.csv, from the bytes of a zip; nothing is unpacked to disk.

    Raises InputError, one line a problem.
    """
    if data.count(ENTRY) > MAX_ENTRIES:
        raise InputError(f"the zip holds more than {MAX_ENTRIES} files; expected only {NAME}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            problems = _problems(archive.infolist())
            content = b"" if problems else _read(archive)
    except BROKEN as error:
        raise InputError(f"the zip is broken ({error}); zip {NAME} again") from error
    if problems:
        raise InputError("\n".join(problems))
    return content


def _read(archive: zipfile.ZipFile) -> bytes:
    """The bytes of prediction.csv, at most as many as the directory of the zip says.

    Raises ValueError where the file has more or fewer: such a zip may fill the memory.
    """
    size = archive.getinfo(NAME).file_size
    with archive.open(NAME) as stream:
        data = stream.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{NAME} does not have the {size} bytes that its directory says")
    return data


def _problems(entries: list[zipfile.ZipInfo]) -> list[str]:
    """The problems of the directory of a zip, found before a byte of its files is unpacked."""
    names = [entry.orig_filename for entry in entries]
    problems = [_misplaced(name) for name in names if name != NAME]
    if names.count(NAME) != 1:
        problems.append(
            f"got {names.count(NAME)} files {NAME} at the root of the zip; expected exactly one"
        )
    for entry in entries:
        name = entry.orig_filename
        if entry.flag_bits & ENCRYPTED:
            problems.append(f"{name!r} is encrypted; zip it without a password")
        if entry.compress_type not in METHODS:
            problems.append(f"{name!r}: compression method {entry.compress_type}; use deflate")
        if entry.file_size > MAX_BYTES:
            problems.append(
                f"{name!r} would unpack to {entry.file_size} bytes; expected at most {MAX_BYTES}"
            )
    return problems


def _misplaced(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        return f"{name!r} points outside the zip; expected only {NAME}"
    if path.name == NAME:
        return f"{name!r} lies in a folder; zip the file itself, not its folder"
    return f"{name!r} does not belong in the zip; expected only {NAME} at its root"
