"""A run leaves `git status` clean, whatever it was doing when it was killed."""

import subprocess

import pytest

from tests.helpers.tiny_runs import ROOT

WRITTEN = (
    "artifacts/sample/50_train/din-seed0-fold0-1a2b3c4d/model.pt",
    "artifacts/sample/40_tune/studies.journal",
    "submissions/sample/research-1a2b3c4d/report.html",
    "submissions/sample/latest",
    "submissions/leaderboard.csv",
    "submissions/LEADERBOARD.md",
    "submissions/LEADERBOARD-old-2.md",
    "submissions/.leaderboard.csv.lock",
    "submissions/.leaderboard.csv.host.123",
    "data/MicroLens_1M_x1/train.parquet",
    ".venv",
)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the code is in no repository")
def test_git_ignores_what_runs_write_and_not_the_code():
    command = ["git", "-C", str(ROOT), "check-ignore", "--no-index"]
    code = ["submissions/check.py", "submissions/new.py", "pipeline/runs/clean.py"]
    done = subprocess.run([*command, *WRITTEN, *code], capture_output=True, text=True)
    assert done.stdout.splitlines() == list(WRITTEN)
