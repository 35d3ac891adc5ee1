"""Children end with their parents."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.runtime import processes

ROOT = Path(__file__).resolve().parents[3]
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
time.sleep(60)
"""
CHILD = """
import sys, time
from pipeline.runtime import processes
processes.die_with_parent(int(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""


def start(*words: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_a_child_ends_with_a_parent_that_was_killed():
    parent = start("-c", PARENT, CHILD)
    assert parent.stdout.readline() == "ready\n"
    started = time.monotonic()
    parent.kill()
    assert parent.stdout.read() == ""  # ends when the child, which shares it, does
    assert time.monotonic() - started < 10


def test_a_child_whose_parent_has_ended_already_ends_at_once():
    child = start("-c", CHILD, "1")
    assert child.wait(10) == -signal.SIGTERM
    assert child.stdout.read() == ""


def test_run_all_names_itself_to_its_stages_and_to_nobody_else(monkeypatch):
    assert processes.environment()[processes.RUN] == str(os.getpid())
    assert processes.RUN not in os.environ
    parents = []
    monkeypatch.setattr(processes, "die_with_parent", parents.append)
    processes.die_with_run()
    monkeypatch.setenv(processes.RUN, "12")
    processes.die_with_run()
    processes.die_with_run()  # the stage's children find nothing
    assert parents == [12]


def test_a_process_is_known_by_its_start_until_it_ends():
    child = start("-c", "import time; time.sleep(60)")
    began = processes.started_at(child.pid)
    time.sleep(0.05)
    assert began == processes.started_at(child.pid) != processes.started_at(os.getpid())
    child.kill()
    deadline = time.monotonic() + 10
    while processes.started_at(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes.started_at(child.pid) == ""  # it has ended, though nobody waited for it yet
    child.wait()
    assert processes.started_at(child.pid) == ""
