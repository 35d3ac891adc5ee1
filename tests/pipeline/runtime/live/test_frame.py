"""What is written to the terminal: lines that fit, and a cursor that any foreign line finds."""

import pytest

from bench.terminal import Screen
from pipeline.runtime.live.frame import cut, folded, frame, shortened


def test_messages_stand_above_live_lines_that_are_drawn_again_in_place():
    screen = Screen(20, 6)
    screen.feed(frame(["one"], ["fit a", "total 1"], 20))
    screen.feed(frame(["two"], ["fit a", "fit b", "total 2"], 20))
    assert screen.lines() == ["one", "two", "fit a", "fit b", "total 2", ""]
    screen.feed(frame(["three"], [], 20))
    assert screen.lines() == ["one", "two", "three", "", "", ""]


def test_lines_scroll_and_leave_nothing_behind():
    screen = Screen(20, 4)
    for number in range(9):
        screen.feed(frame([f"message {number}"], ["fit a", f"total {number}"], 20))
    assert screen.lines() == ["message 7", "message 8", "fit a", "total 8"]
    assert screen.above == [f"message {number}" for number in range(7)]


def test_a_foreign_line_stays_and_stands_alone():
    screen = Screen(20, 6)
    screen.feed(frame([], ["a live line", "total"], 20))
    screen.feed("from elsewhere\n")
    screen.feed(frame([], ["a live line", "total"], 20))
    assert screen.lines() == ["from elsewhere", "a live line", "total", "", "", ""]


def test_no_live_line_wraps_whatever_its_letters():
    screen = Screen(20, 6)
    screen.feed(frame(["x" * 20], ["y" * 50], 20))
    assert screen.lines()[:2] == ["x" * 20, "y" * 16 + "..."]
    assert screen.wrapped == []
    assert cut("度" * 20, 19) == "度" * 8 + "..."  # each is two columns wide


def test_prose_is_folded_at_words_and_tables_and_errors_are_not():
    assert folded("55_mask warning: a b c d", 12) == ["55_mask", "  warning: a", "  b c d"]
    assert folded("  On a test set", 12) == ["  On a test", "    set"]
    for line in ("error: run python -m x", "| a | table of markdown |", "qin      0.86 ± 0.01"):
        assert folded(line, 12) == [line]
    assert folded(f"report: {'p' * 20}", 12) == ["report:", f"  {'p' * 20}"]


def test_a_line_about_an_artifact_ends_at_a_word():
    assert shortened("50_train qin auc=0.8 rows/s=12", 27) == "50_train qin auc=0.8 ..."
    assert shortened("50_train qin", 12) == "50_train qin"
    assert shortened("x" * 30, 12) == "..."


def test_a_command_that_is_folded_can_still_be_copied():
    assert folded("watch it: python -m pipeline.40_tune a b", 24) == [
        "watch it: python -m \\", "  pipeline.40_tune a b",
    ]  # fmt: skip
    assert folded("words before: python -m one two", 17) == [
        "words before:", "  python -m one \\", "  two",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_terminal_of_hardly_any_width_is_no_error(width):
    assert len(cut("a longer line", width)) <= width
    assert frame(["a message"], ["a line", "total"], width)


@pytest.mark.parametrize("width", range(1, 8))
def test_the_narrowest_terminal_gets_some_letters(width):
    assert len(shortened("two words", width)) <= width
    assert len(cut("two words", width)) <= width
    assert all(folded("two words", width))
