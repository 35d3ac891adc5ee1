"""Mutations of submissions, and a plain checker that reads them line by line."""

import io
import re
import struct
import zipfile

from hypothesis import strategies as st

from tests.helpers.mutations.damage import damaged

HEADER = b"ID,Task2"
PIECES = st.sampled_from(
    b"0|1|-1|+1|01| 1|1 |1.0|1e0|1_0|0x1|NaN|nan|inf|-inf|infinity|null|None|0.5|.5|5e-1|1e-400"
    b"|1.5|2|-0.25|1.01|1e400|-0|-0.0|1.0000000000000002|9223372036854775807|9223372036854775808|0.5f|\"0.5\"|'0.5'"
    b"|\xff|\x00|\xef\xbb\xbf|\xd9\xa3|\xc2\xbd|0,5|,|\r|\n|\r\n|\t|=1+1|true|1d0|0.5L|1.|"
    b"|1111111111111111111111111111111111111111111111111111111111111111111111111".split(b"|")
)


@st.composite
def submissions(draw, ids: list[int]) -> tuple[str, bytes]:
    """File name and bytes: a csv with up to two wrong rows, or a zip of it that may be damaged."""
    rows = [[str(i).encode(), b"%.6f" % draw(st.floats(0, 1))] for i in ids]
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.integers(0, len(rows) - 1))
        kind = draw(st.sampled_from(["cell"] * 8 + ["drop", "double", "swap", "more"]))
        if kind == "cell":
            rows[row][draw(st.integers(0, len(rows[row]) - 1))] = draw(PIECES)
        elif kind == "drop" and len(rows) > 1:
            del rows[row]
        elif kind == "double":
            rows.insert(row, list(rows[row]))
        elif kind == "swap":
            rows[0], rows[row] = rows[row], rows[0]
        elif kind == "more":
            rows[row].append(draw(PIECES))
    header = draw(st.sampled_from([HEADER] * 30 + [b"ID,Task1", b"id,task2", b"Task2,ID", b""]))
    ending = draw(st.sampled_from([b"\n"] * 20 + [b"\r\n", b"\r"]))
    data = ending.join([header, *(b",".join(row) for row in rows)])
    data += draw(st.sampled_from([ending] * 20 + [b"", ending * 2, b"\x00", b"\x1a", b" "]))
    if draw(st.integers(0, 7)) == 0:
        data = draw(damaged(data)) if data else data
    if draw(st.integers(0, 2)):
        return "p.csv", data
    return "p.zip", draw(zips(data))


@st.composite
def zips(draw, data: bytes) -> bytes:
    """A zip of `data`; sometimes of other names, damaged, or with a false size."""
    name = draw(st.sampled_from(["prediction.csv"] * 8 + ["a/prediction.csv", "../prediction.csv"]))
    sink = io.BytesIO()
    method = draw(st.sampled_from([zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_STORED]))
    with zipfile.ZipFile(sink, "w", method) as out:
        out.writestr(name, data)
        if draw(st.integers(0, 6)) == 0:
            out.writestr(draw(st.sampled_from(["notes.txt", "/etc/passwd", "x/"])), b"")
    whole_zip = sink.getvalue()
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(whole_zip))
    if draw(st.integers(0, 5)) == 0:  # the directory lies about the size
        at = whole_zip.rindex(b"PK\x01\x02") + 24
        claimed = draw(st.sampled_from([0, 1, len(data) - 1, len(data) + 1, 2**32 - 2]))
        return whole_zip[:at] + struct.pack("<I", max(0, claimed)) + whole_zip[at + 4 :]
    return whole_zip


INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def submission_problem(name: str, data: bytes, ids: list[int]) -> str | None:
    """The first problem of a submission; None if the checker must accept it."""
    try:
        if name.endswith(".zip") or data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.namelist() != ["prediction.csv"]:
                    return "names in the zip"
                data = archive.read("prediction.csv")
                if archive.getinfo("prediction.csv").file_size != len(data):
                    return "size"
        if re.search(rb"\r(?!\n)|\x00", data):
            return "a carriage return alone, or NUL"
        lines = [line.removesuffix("\r") for line in data.decode().removesuffix("\n").split("\n")]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _line_problem(lines, ids)


def _line_problem(lines: list[str], ids: list[int]) -> str | None:
    if not lines or lines[0] != HEADER.decode():
        return "header"
    scores = []
    if len(lines) != 1 + len(ids):
        return "number of rows"
    for line, expected_id in zip(lines[1:], ids, strict=True):
        cells = line.split(",")
        if len(cells) != 2 or not INTEGER.fullmatch(cells[0]) or int(cells[0]) != expected_id:
            return f"row {line!r}"
        if not NUMBER.fullmatch(cells[1]) or not 0 <= float(cells[1]) <= 1:
            return f"row {line!r}"
        scores.append(float(cells[1]))
    return "equal scores" if len(set(scores)) == 1 else None
