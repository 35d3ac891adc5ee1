"""40_tune's dashboard and its command line."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib import import_module

import pytest

from features.errors import InputError
from pipeline.config.load import load
from tests.helpers.tiny_runs import ROOT
from tests.pipeline.tuning.runs import search_of

stage = import_module("pipeline.40_tune")


def test_the_dashboard_serves_the_studies_on_the_loopback_alone(tuned):
    overrides, _, _ = tuned
    command = [sys.executable, "-m", "pipeline.40_tune", "sample", *overrides, "--dashboard"]
    process = subprocess.Popen(
        [*command, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        with urllib.request.urlopen(f"{address[0]}api/studies", timeout=60) as answer:
            assert search_of(overrides).name in json.dumps(json.load(answer))
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", int(address[1])))  # another address of this machine
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_a_port_that_cannot_be_served_is_named(tuned):
    for port in (-1, 65536):
        with pytest.raises(InputError, match=f"--port {port}: .* try another, or 0 for any"):
            stage.serve(load("sample", tuned[0]), port)


def test_a_dashboard_without_studies_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        stage.main(["sample", f"artifacts={tmp_path}", "model=din", "--dashboard"])
    assert ended.value.code == 2
    assert "no study of this profile was started" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_options_that_nothing_reads_are_refused(own, capsys):
    for options, message in (
        (["--port", "1"], "--port 1 is not read without --dashboard"),
        (["--repair", "--dashboard"], "one at a time"),
    ):
        with pytest.raises(SystemExit) as ended:
            stage.main(["sample", *own, *options])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_model_is_short_for_a_run_of_that_network_and_its_study(monkeypatch):
    settings = []
    monkeypatch.setattr(stage, "work", lambda s, *_: settings.append(s))
    for arguments in (["sample", "model=din"], ["model=din"]):
        with pytest.raises(SystemExit):
            stage.main(arguments)
    seen = {(s.models, s.tune.models, s.profile) for s in settings}
    assert seen == {(("din",), ("din",), "sample")}
