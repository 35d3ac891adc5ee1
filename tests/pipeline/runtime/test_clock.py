"""A command on a terminal: what it prints, and a clock while it is silent."""

import os
import subprocess
import sys

from bench.terminal import record
from pipeline.runtime import clock
from tests.helpers.tiny_runs import ROOT

CLOCK = [sys.executable, "-m", "pipeline.runtime.clock", "/bin/sh", "-c"]
SILENT = r"printf 'Collecting\n\033[0m'; sleep 2.2; echo Installed; exit 3"  # as pip ends a colour


def test_a_clock_ticks_while_a_command_is_silent(monkeypatch):
    monkeypatch.chdir(ROOT)
    seen = record([*CLOCK, SILENT], 80, 24, every=0.1)
    assert seen.code == 3
    assert seen.messages() == ["Collecting", "Installed"]
    assert any(lines[1] == "  00:01 elapsed" for _, lines in seen.looks)


def test_a_bar_that_is_drawn_on_its_line_is_left_alone(monkeypatch):
    monkeypatch.chdir(ROOT)
    seen = record([*CLOCK, r"printf '50 of 80 MB'; sleep 1.2; echo"], 80, 24, every=0.1)
    assert {lines[0] for _, lines in seen.looks} <= {"", "50 of 80 MB"}


def test_silence_after_a_whole_line_is_filled_until_something_comes(monkeypatch):
    reader, writer = os.pipe()
    written = []

    def write(data):
        written.append(data)
        if b"elapsed" in data and len(written) == 3:
            os.write(writer, b"more")
            os.close(writer)

    monkeypatch.setattr(clock, "SILENT_S", 0.01)
    monkeypatch.setattr(clock, "_write", write)
    os.write(writer, b"one\n")
    clock.follow(reader)
    os.close(reader)
    ticking = clock.CLEAR + b"  00:00 elapsed"
    assert written == [b"one\n", ticking, ticking, clock.CLEAR + b"more", b""]


def test_elsewhere_the_command_just_runs(monkeypatch):
    assert clock.main([sys.executable, "-c", "raise SystemExit(4)"]) == 4

    def interrupted(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    assert clock.main(["pip"]) == 130
