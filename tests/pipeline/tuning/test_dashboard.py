"""40_tune's dashboard and its command line."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib import import_module

import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna_dashboard import get_note, save_note

from features.errors import InputError
from pipeline.artifacts.provenance import commit
from pipeline.config.load import load
from pipeline.tuning import dashboard
from tests.helpers.tiny_runs import ROOT
from tests.pipeline.tuning.runs import fake_fits, search_of, study_of

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
            dashboard.serve(load("sample", tuned[0]), port)


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


def test_the_dashboard_says_what_a_study_is_and_shows_its_best_settings(tuned):
    overrides, _, spec = tuned
    search, study = search_of(overrides), study_of(overrides)
    assert study.metric_names == ["mean AUC"]
    facts = study.user_attrs
    assert facts["command"].startswith("python -m pipeline.40_tune sample data.users=300")
    assert (facts["network"], facts["rules"], facts["folds"]) == ("qin", "research", 2)
    assert facts["users"] == 1
    assert facts["commit"] == commit()
    assert "2 folds of users, with 100% of the train users" in get_note(study)
    [best] = get_all_artifact_meta(study)
    assert best.filename == "best-of-3-trials.toml"
    with dashboard.files(search.settings).open_reader(best.artifact_id) as file:
        assert file.read() == (spec.path / "best.toml").read_bytes()


def test_what_a_user_writes_and_the_files_of_earlier_runs_stay(own, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.6 + rate)
    typed = [*own, "train.workers=1"]
    stage.work(load("sample", [*typed, "tune.trials=3"]), False)
    save_note(study_of(own), "mine")
    stage.work(load("sample", [*typed, "tune.trials=3"]), True)  # again, without a new trial
    stage.work(load("sample", [*typed, "tune.trials=4"]), False)
    study = study_of(own)
    assert get_note(study) == "mine"
    assert study.user_attrs["command"].endswith("tune.trials=4")
    names = sorted(one.filename for one in get_all_artifact_meta(study))
    assert names == ["best-of-3-trials.toml", "best-of-4-trials.toml"]


def test_a_study_prints_what_to_type_for_its_dashboard(own, tmp_path, monkeypatch, capsys):
    fake_fits(monkeypatch, lambda rate, fold: 0.6 + rate)
    typed = [*own, "tune.trials=3", f"tune.storage=sqlite:///{tmp_path}/my studies.db"]
    stage.work(load("sample", typed), False)
    line = re.search("40_tune watch it: python -m pipeline.40_tune (.*)", capsys.readouterr().out)
    served = []
    monkeypatch.setattr(dashboard, "make_server", lambda *given, **_: served.append(given) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stage.main(shlex.split(line[1]))
    assert served[0][:2] == (dashboard.HERE, 8080)
