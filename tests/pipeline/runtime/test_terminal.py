"""Where live lines are drawn, and where plain ones come instead."""

import os

import pytest

from pipeline.runtime import terminal
from pipeline.runtime.live import events
from pipeline.runtime.progress import RowBars, progress_bar


@pytest.fixture
def on_a_terminal(monkeypatch):
    for name in ("MMCTR_LIVE", "JPY_PARENT_PID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "isatty", lambda number: True)
    monkeypatch.setattr(os, "fstat", lambda number: os.stat(os.devnull))


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["sample", "--dry-run"], {}),
        (["runs"], {}),
        (["sample"], {"MMCTR_LIVE": "1"}),
        (["sample"], {"JPY_PARENT_PID": "7"}),
        (["sample"], {"RANK": "1"}),
        (["sample"], {"TERM": "dumb"}),
    ],
)
def test_plain_lines_come_where_live_ones_cannot(on_a_terminal, monkeypatch, arguments, variables):
    assert terminal.wanted(["sample"])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not terminal.wanted(arguments)


def test_plain_lines_come_where_stdout_is_a_pipe_to_who_knows_what(on_a_terminal, monkeypatch):
    reader, writer = os.pipe()
    status = os.stat(writer)
    monkeypatch.setattr(os, "fstat", lambda number: status)
    assert not terminal.wanted(["sample"])
    os.close(reader)
    os.close(writer)


def test_settings_are_listed_plainly_and_a_file_of_settings_is_no_list(on_a_terminal, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "pipeline", "sample", "--settings"])
    assert not terminal.wanted(["sample", "--settings"])
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "pipeline.90_score"])
    assert terminal.wanted(["--format", "fuxictr", "--settings", "FILE"])


def test_the_stage_is_named_as_it_was_started():
    assert terminal.title(["python", "-m", "pipeline.50_train", "sample"]) == "50_train"
    assert terminal.title(["python", "-m", "pipeline", "sample"]) == ""


def test_loops_report_what_is_done(monkeypatch):
    sent = []
    monkeypatch.setattr(events, "send", lambda **event: sent.append(event))
    assert list(progress_bar("ab", "letters")) == ["a", "b"]
    assert [(e["total"], e["done"], e["of"]) for e in sent] == [("letters", n, 2) for n in range(3)]
    sent.clear()
    bars = RowBars()
    for done in (10, 20, 30):
        bars("train.parquet", done, 30)
    assert [event["fields"] for event in sent] == [["  train.parquet", "33%", "of 30 rows"], []]


def test_nothing_is_sent_where_nobody_draws(monkeypatch, capfd):
    monkeypatch.delenv("MMCTR_LIVE", raising=False)
    events.task("a", ["a"])
    events.say("short", "the whole line")
    assert capfd.readouterr() == ("the whole line\n", "")
    monkeypatch.setenv("MMCTR_LIVE", "1")
    events.say("short", "the whole line")
    assert capfd.readouterr() == ("the whole line\n", "")  # stdout is a file of its own
    monkeypatch.setattr(os.path, "sameopenfile", lambda one, two: True)
    events.say("short", "the whole line")
    out, sent = capfd.readouterr()
    assert out == ""
    assert sent == '\x1b_mmctr{"say": "short", "whole": "the whole line"}\x1b\\'
