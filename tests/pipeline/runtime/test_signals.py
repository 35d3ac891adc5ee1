"""One line and exit code 130, whenever a signal comes."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.runtime import cli, signals

ROOT = Path(__file__).resolve().parents[3]
STAGES = [path.stem for path in sorted((ROOT / "pipeline").glob("[0-9]*.py"))]
CLEANS_UP = """
import sys, time
from pipeline.runtime import cli, signals
signals.install()
def work():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.5)
        print("cleaned up", flush=True)
sys.exit(cli.exit_code(work))
"""
STOPS_ITSELF = """
import os, runpy, sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            os.kill(os.getpid(), int(sys.argv[3]))
sys.meta_path.insert(0, Stop())
runpy.run_module(f"pipeline.{sys.argv[1]}", run_name="__main__", alter_sys=True)
"""


def start(*words: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, text=True, **pipes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_stopped_while_it_imports_torch_ends_in_one_line(number):
    stage = start("-m", "pipeline.50_train", "sample", "--help")
    while stage.poll() is None and "libtorch" not in Path(f"/proc/{stage.pid}/maps").read_text(
        encoding="utf-8"
    ):
        time.sleep(0.001)
    stage.send_signal(number)
    out, errors = stage.communicate(timeout=60)
    assert (stage.returncode, out, errors) == (130, "", f"{signals.INTERRUPTED}\n")


@pytest.mark.parametrize("name", [*STAGES, "__main__"])
def test_the_handlers_stand_before_a_stage_imports_anything_else(name):
    """Stopped as soon as it imports features, which every stage does first or nearly so."""
    source = (ROOT / "pipeline" / f"{name}.py").read_text()
    first = source.index("    signals.install()")
    imports = [line.split()[1] for line in source[:first].splitlines() if line.startswith("from")]
    assert imports == ["pipeline.runtime"]
    stage = start("-c", STOPS_ITSELF, name, "features", str(int(signal.SIGINT)))
    out, errors = stage.communicate(timeout=60)
    assert (stage.returncode, out, errors) == (130, "", f"{signals.INTERRUPTED}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_come_together_are_one_and_do_not_end_the_clean_up(number):
    """As the kernel sends them for the threads of a parent that was killed, and `timeout` does."""
    child = start("-c", CLEANS_UP)
    assert child.stdout.readline() == "ready\n"
    for _ in range(3):
        child.send_signal(number)
        time.sleep(0.05)
    out, errors = child.communicate(timeout=30)
    assert (child.returncode, out, errors) == (130, "cleaned up\n", f"{signals.INTERRUPTED}\n")


def test_a_later_signal_interrupts_again():
    handler = signals.OncePerBurst()
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGTERM, None)
    handler(signal.SIGTERM, None)
    handler.last -= signals.SIGNAL_DEBOUNCE_S
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGTERM, None)


def test_a_signal_while_the_line_is_printed_ends_in_no_traceback(monkeypatch):
    """`timeout` signals a process and then its group."""

    class Stderr(io.StringIO):
        def write(self, text):
            super().write(text)
            raise KeyboardInterrupt

    def interrupted():
        raise KeyboardInterrupt

    stderr = Stderr()
    monkeypatch.setattr("sys.stderr", stderr)
    assert cli.exit_code(interrupted) == 130
    assert stderr.getvalue() == signals.INTERRUPTED


def test_a_signal_that_is_ignored_stays_so():
    """As `nohup` and shells that run in the background have it."""
    code = "import signal; signal.signal(2, signal.SIG_IGN); from pipeline.runtime import signals; "
    code += "signals.install(); print(signal.getsignal(2) is signal.SIG_IGN)"
    assert start("-c", code).communicate()[0] == "True\n"
