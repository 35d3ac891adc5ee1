"""Installing on a terminal: what pip prints, and a clock where it is silent; elsewhere one line."""

import os
import subprocess
import sys

import pytest

from bench.terminal import record
from pipeline.runtime import install
from tests.helpers.tiny_runs import ROOT

BELOW = """
import sys
from pipeline.runtime import install
install.SILENT_S = 0.2
shell = "echo Collecting; sleep 1.5; echo Installed; exit 3"
sys.exit(install.below_terminal(["/bin/sh", "-c", shell]))
"""


def test_a_clock_ticks_while_pip_is_silent(monkeypatch):
    monkeypatch.chdir(ROOT)
    seen = record([sys.executable, "-c", BELOW], 80, 24, every=0.1)
    assert seen.code == 3
    assert seen.messages() == ["Collecting", "Installed"]
    screens = [lines[1] for _, lines in seen.looks]
    assert {"  00:00 elapsed", "  00:01 elapsed"} <= set(screens)


@pytest.mark.parametrize("code", [0, 2])
def test_elsewhere_pip_is_quiet_and_two_lines_say_what_is_done(monkeypatch, capsys, code):
    commands = []

    def run(command):
        commands.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(install.sys, "prefix", os.path.dirname(__file__))
    assert install.main(["-r", "requirements.txt"]) == code
    assert commands[0][1:4] == ["-m", "pip", "install"]
    assert commands[0][-3:] == ["-r", "requirements.txt", "--quiet"]
    printed = capsys.readouterr().out
    assert printed.startswith("installing requirements.txt into ")
    assert ("installed in 0 s, 0.0 GB" in printed) == (code == 0)
