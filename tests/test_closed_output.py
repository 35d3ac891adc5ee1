"""A command whose reader goes, as under `| head`, ends like others: in silence, with 141."""

import subprocess
import sys

import pytest

from pipeline.runtime import cli
from tests.helpers.tiny_runs import ROOT


@pytest.mark.parametrize("command", ["--settings", "--dry-run"])
def test_it_ends_in_silence(command):
    arguments = [sys.executable, "-m", "pipeline", "sample", command]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()  # long before it prints
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_broken_pipe_of_another_kind_is_an_error(capfd):
    def work():
        raise BrokenPipeError(32, "Broken pipe")

    assert cli.exit_code(work) == 2
    assert capfd.readouterr().err == "error: [Errno 32] Broken pipe\n"
