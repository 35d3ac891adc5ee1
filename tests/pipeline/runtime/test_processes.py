"""Children, parents and signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pipeline
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


CLEARS_UP = """
import sys, time
from pipeline.runtime import cli
def work():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.5)
        print("cleared up", flush=True)
sys.exit(cli.exit_code(work))
"""


def begin(*words: str, **more) -> subprocess.Popen:
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, text=True, **more)


def test_a_child_ends_with_a_parent_that_was_killed():
    parent = begin("-c", PARENT, CHILD)
    assert parent.stdout.readline() == "ready\n"
    started = time.monotonic()
    parent.kill()
    assert parent.stdout.read() == ""  # ends when the child, which shares it, does
    assert time.monotonic() - started < 10


def test_a_child_whose_parent_is_gone_already_ends_at_once():
    child = begin("-c", CHILD, "1")
    assert child.wait(10) == -signal.SIGTERM
    assert child.stdout.read() == ""


def test_signals_that_come_together_are_one_and_do_not_end_what_clears_up():
    """As the kernel sends them for the threads of a parent that was killed."""
    child = begin("-c", CLEARS_UP)
    assert child.stdout.readline() == "ready\n"
    for _ in range(3):
        child.terminate()
        time.sleep(0.05)
    out, said = child.communicate(timeout=30)
    assert (child.returncode, out, said) == (130, "cleared up\n", f"{pipeline.INTERRUPTED}\n")


def test_a_second_blow_is_heard():
    stop = processes.SigtermHandler()
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGTERM, None)
    stop(signal.SIGTERM, None)
    stop.last -= processes.SIGNAL_DEBOUNCE_S
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGTERM, None)


def test_run_all_names_itself_to_its_stages_and_to_nobody_else(monkeypatch):
    assert processes.environment()[processes.RUN] == str(os.getpid())
    assert processes.RUN not in os.environ
    meant = []
    monkeypatch.setattr(processes, "die_with_parent", meant.append)
    processes.die_with_run()
    monkeypatch.setenv(processes.RUN, "12")
    processes.die_with_run()
    processes.die_with_run()  # its children find nothing
    assert meant == [12]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_stopped_while_it_imports_ends_in_one_line(number):
    stage = begin("-m", "pipeline.50_train", "sample", "--help")
    while stage.poll() is None and "libtorch" not in Path(f"/proc/{stage.pid}/maps").read_text():
        time.sleep(0.001)
    stage.send_signal(number)
    out, said = stage.communicate(timeout=30)
    assert (stage.returncode, out, said) == (130, "", f"{pipeline.INTERRUPTED}\n")


def test_who_imports_the_package_keeps_its_handlers():
    code = "import signal; b = signal.getsignal(2), signal.getsignal(15); import pipeline; "
    code += "print(b == (signal.getsignal(2), signal.getsignal(15)))"
    assert begin("-c", code).communicate()[0] == "True\n"


def test_a_signal_that_is_ignored_stays_so():
    """As `nohup` and shells that run in the background have it."""
    code = "import os, runpy, signal, sys; signal.signal(2, signal.SIG_IGN); sys.argv = ['-m']; "
    code += "import pipeline; print(signal.getsignal(2) is signal.SIG_IGN)"
    assert begin("-c", code).communicate()[0] == "True\n"
