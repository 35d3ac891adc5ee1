"""Mutations of a release's text files, and a plain reader of their cells."""

from hypothesis import strategies as st

from tests.helpers.mutations.damage import damaged

GARBAGE = st.sampled_from(
    b'\x00|\xff\xfe|"|""|,|\t|\n|\r|\r\n|#|1e9|-1|999999999999999999999|\xc2|\xe2\x80\xa8|nan|inf'
    b"| |'|\\|PAR1|\n\n\n|,,,,,,,,,|0|+1|1.0|0x1|\xd9\xa3".split(b"|")
)


@st.composite
def with_garbage(draw, data: bytes) -> bytes:
    """`data` with up to three pieces of garbage, inserted or instead of some bytes."""
    for _ in range(draw(st.integers(0, 3))):
        at, removed = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 0, 1, 3, 8]))
        data = data[:at] + draw(GARBAGE) + data[at + removed :]
    return draw(damaged(data)) if data and draw(st.integers(0, 5)) == 0 else data


def cells(data: bytes, separator: str) -> list[list[str]] | None:
    """The cells of each line that has any; None with quotes, which readers split differently."""
    text = data.decode("utf-8-sig")  # a byte order mark at the start belongs to no cell
    if '"' in text:
        return None
    lines = [line.removesuffix("\r").split(separator) for line in text.split("\n")]
    for line in lines:
        while line and not line[-1].strip():
            line.pop()
    return [line for line in lines if line]
