"""bench.gpu on a machine without polars, lightgbm, optuna and whatever torch does not bring."""

import json
import subprocess
import sys

import pytest

from bench.gpu.parts import PARTS
from tests.helpers.bare import environment
from tests.helpers.tiny_runs import ROOT
from tests.helpers.toy_gpu import NAMES, command

TARGETS = sorted({part.target.partition(":")[0] for part in PARTS})


@pytest.fixture
def bare(tmp_path):
    """Runs Python on such a machine; returns its output."""
    folder = tmp_path / "blocker"
    folder.mkdir()
    env = environment(folder)

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    return run


def test_the_machine_has_torch_but_not_polars(bare):
    code = (
        "import torch, sklearn, pyarrow, joblib\ntry:\n import polars\nexcept ImportError: print(1)"
    )
    assert bare("-c", code) == "1\n"


def test_every_part_can_be_imported(bare):
    bare("-c", f"import importlib\nfor name in {TARGETS}: importlib.import_module(name)")


def test_a_dry_run_needs_nothing_else(bare):
    assert "in all, of at most 64" in bare("-m", "bench.gpu", "--dry-run")


@pytest.mark.long
def test_every_part_but_the_sample_runs(bare, tmp_path):
    bare(*command(tmp_path / "out")[1:])
    parts = json.loads((tmp_path / "out/gpu.json").read_text())["parts"]
    assert {part["name"]: part["state"] for part in parts} == dict.fromkeys(NAMES, "done")
