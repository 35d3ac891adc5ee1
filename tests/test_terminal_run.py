"""Whole runs and a study in a terminal, looked at each second: see bench/terminal.py."""

import os
import re
import sys

import pytest

from bench.terminal import Recording, record
from tests.helpers.tiny_runs import ROOT, TINY

pytestmark = pytest.mark.long

SIZES = [(80, 24), (200, 50)]
WORLD = [*TINY, "models=din,qin", "network.fit.max_epochs=20", "network.fit.patience=20"]


@pytest.fixture
def see(tmp_path, monkeypatch):
    """Record a command whose results lie in a folder of the test."""

    def call(*command: str, columns: int, rows: int) -> Recording:
        folders = [f"artifacts={tmp_path}/a", f"submissions={tmp_path}/s"]
        variables = {k: v for k, v in os.environ.items() if k not in ("RANK", "JPY_PARENT_PID")}
        variables["VIRTUAL_ENV"] = sys.prefix
        seen = record([*command, *WORLD, *folders], columns, rows, env=variables)
        assert seen.code == 0, seen.messages()[-20:]
        return seen

    monkeypatch.chdir(ROOT)
    return call


def assert_alive(seen: Recording, folder) -> None:
    """No second without change, no collision, no line that wraps but paths, which are copied."""
    assert seen.longest_still() < 3  # one second, where the machine has time for the host
    assert seen.collisions() == []
    paths = [line for line in seen.screen.wrapped if str(folder)[:24] in line]
    assert seen.screen.wrapped == paths


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_run_is_alive_from_its_first_stage_to_its_last_line(see, tmp_path, columns, rows):
    seen = see("./run_all.sh", "sample", columns=columns, rows=rows)
    assert_alive(seen, tmp_path)
    messages = "\n".join(seen.messages())
    assert [f"stage {n} of 10" in messages for n in range(1, 11)] == [True] * 10
    screens = "\n".join(line for _, lines in seen.looks for line in lines)
    assert "of <=20" in screens
    assert "left" in screens


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_study_is_alive(see, tmp_path, columns, rows):
    for stage in ("00_data", "10_prepare", "20_folds"):
        see(sys.executable, "-m", f"pipeline.{stage}", "sample", columns=columns, rows=rows)
    command = [sys.executable, "-m", "pipeline.40_tune", "sample", "tune.models=din"]
    seen = see(*command, "tune.trials=4", columns=columns, rows=rows)
    assert_alive(seen, tmp_path)
    screens = "\n".join(line for _, lines in seen.looks for line in lines)
    assert "of 4 trials" in screens
    assert re.search(r"  trial \d fold [12] of 2 +epoch \d+ of <=20", screens)
    assert "best 0." in screens
