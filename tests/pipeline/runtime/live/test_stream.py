"""Messages and events in one stream of bytes, however it is cut."""

import json

import pytest

from pipeline.runtime.live.events import BEGIN, END
from pipeline.runtime.live.stream import Parser

STREAM = b"one\n" + BEGIN + b'{"a": 1}' + END + b"tw" + BEGIN + b'{"b": 2}' + END + b"o\nthree"
FOUND = ["one", {"a": 1}, {"b": 2}, "two", "three"]


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_pieces_of_any_size_give_the_same(size):
    parser, found = Parser(), []
    for start in range(0, len(STREAM), size):
        found += parser.feed(STREAM[start : start + size])
    assert found + parser.close() == FOUND
    assert parser.close() == []


def test_an_event_may_come_between_the_halves_of_a_letter():
    two_bytes = "é\n".encode()
    parser = Parser()
    event = BEGIN + json.dumps({"a": 1}).encode() + END
    assert parser.feed(two_bytes[:1] + event + two_bytes[1:]) == [{"a": 1}, "é"]


def test_a_bar_of_a_library_leaves_its_last_state():
    assert Parser().feed(b"10%\r55%\r100%\r\nnext\n") == ["100%", "next"]


def test_other_escapes_stay():
    assert Parser().feed(b"\x1b[1mbold\x1b[0m\n") == ["\x1b[1mbold\x1b[0m"]
