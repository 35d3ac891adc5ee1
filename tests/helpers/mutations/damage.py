"""Damage to the bytes of any file."""

from hypothesis import strategies as st


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """`data` with bytes removed, changed or inserted, or something else in its place."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "flip", "zero", "more", "other"]))
    at = draw(st.integers(0, len(data) - 1))
    if draw(st.booleans()):  # the footer is the last part
        at = max(0, len(data) - 1 - at % min(len(data), 1500))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            changed[(at + draw(st.integers(0, 40))) % len(data)] = draw(st.integers(0, 255))
        return bytes(changed)
    if kind == "zero":
        return data[:at] + bytes(min(50, len(data) - at)) + data[at + 50 :]
    if kind == "more":
        return data[:at] + draw(st.binary(min_size=1, max_size=30)) + data[at:]
    return draw(st.sampled_from([b"", b"PAR1", b"PAR1" * 3, b"<html>", b"ID,Task2\n0,1\n"]))
