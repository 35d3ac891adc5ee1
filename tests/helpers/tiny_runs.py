"""Runs of a tiny sample."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from pipeline.config.load import load

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "data.users=300", "data.valid_users=60", "data.test_users=80", "data.items=200", "folds.n=2",
    "network.fit.max_epochs=2", "network.embedding_dim=4", "network.content_dim=4",
]  # fmt: skip


def run(*arguments: str, code: int = 0, shell: bool = True, **variables: str) -> str:
    """Output of run_all.sh (or of a module) in the environment that runs the tests."""
    command = ["bash", "run_all.sh"] if shell else [sys.executable, "-m"]
    env = os.environ | {"VIRTUAL_ENV": sys.prefix} | variables
    done = subprocess.run([*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def last_line(output: str) -> dict:
    return json.loads(output.strip().splitlines()[-1])


def run_stages(overrides: list[str], *stages: str, profile: str = "sample") -> None:
    """Run stages in this process, which has imported what they import; fits run here as well."""
    settings = load(profile, [*overrides, "train.workers=1"])
    for stage in stages:
        import_module(f"pipeline.{stage}").work(settings, False)
