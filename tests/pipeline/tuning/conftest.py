"""A tiny sample with a study, and one without."""

import os
import shutil
import socket
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import graph
from pipeline.config import paths
from pipeline.config.load import load
from pipeline.tuning.optuna_output import silence_optuna
from tests.helpers.tiny_runs import TINY
from tests.pipeline.tuning.runs import search_of


@pytest.fixture(scope="session", autouse=True)
def quiet():
    silence_optuna()


@pytest.fixture(scope="session")
def untuned(tmp_path_factory):
    """Overrides of the tiny sample without tuning; in the folder of `tuned`."""
    folder = tmp_path_factory.mktemp("tune")
    own = [f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]
    return [*TINY, "models=qin", "train.workers=1", *own]


@pytest.fixture(scope="session")
def tuned(untuned):
    """A whole run that tunes: its overrides, its stages, and the spec of its study's result."""
    overrides = [*untuned, "tune.trials=3", "train.settings=tuned"]
    s = load("sample", overrides)
    stages = graph.stages(s)
    for name in stages:
        import_module(f"pipeline.{name}").work(s, False, *[None] * (name == "80_report"))
    return overrides, stages, graph.tunings(s)["qin"]


@pytest.fixture
def own(tuned, untuned, tmp_path):
    """Overrides of a run on the folds of `tuned` that has no study yet."""
    folder = Path(load("sample", untuned).artifacts)
    copy = shutil.copytree(folder, tmp_path / "a", ignore=lambda *_: ["40_tune", "50_train"])
    return [*untuned, f"artifacts={copy}", f"submissions={tmp_path}/submissions"]


@pytest.fixture
def search(own):
    return search_of([*own, "tune.trials=9"])


@pytest.fixture
def write_space(tmp_path, monkeypatch):
    """A function that replaces the search space of a network."""
    shutil.copytree(paths.MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("*.py"))
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    spaces = tmp_path / "models" / "spaces"
    return lambda text, model="din": (spaces / f"{model}.toml").write_text(text)


@pytest.fixture
def postgres():
    """The URL of an empty database on the loopback; its server ends with the test."""
    initdb = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    if initdb is None:
        pytest.skip("PostgreSQL (initdb) is not installed; on Debian: apt-get install postgresql")
    tools, as_user = Path(initdb).resolve().parent, []
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()

        def call(tool: str, *arguments: str) -> None:
            command = [*as_user, str(tools / tool), "-D", f"{folder}/data", *arguments]
            done = subprocess.run(
                command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert done.returncode == 0, done.stdout.decode()

        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
        call("initdb", "-U", "tuner", "-A", "trust", "--no-sync")
        call("pg_ctl", "start", "-w", "-t", "200", "-l", f"{folder}/log", "-o", options)
        yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"
        call("pg_ctl", "stop", "-m", "immediate")
