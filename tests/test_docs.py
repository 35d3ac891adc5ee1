"""What README and run_all.sh name must exist."""

import importlib
import re
from pathlib import Path

import pytest

from pipeline import graph
from pipeline.config import load as load_config
from pipeline.config.load import load

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_every_stage_is_in_the_table_and_on_disk_and_can_be_run():
    on_disk = {p.stem for p in (ROOT / "pipeline").glob("[0-9]*.py")}
    in_table = set(re.findall(r"^\| `(\d\d_\w+)` \|", TEXT, re.MULTILINE))
    assert on_disk == in_table == {*graph.STAGES, "90_score"}  # which is no part of a run
    assert all(callable(importlib.import_module(f"pipeline.{name}").work) for name in on_disk)


def test_every_file_that_is_named_exists():
    folders = "pipeline|features|models|cv|submissions|bench|tests"
    paths = set(re.findall(rf"\b((?:{folders})/\w+\.(?:py|md|toml|sh))\b", TEXT))
    assert len(paths) > 10
    assert [p for p in sorted(paths) if not (ROOT / p).exists()] == []


def test_every_module_that_is_run_exists():
    for name in re.findall(r"python -m ([\w.]+)", TEXT):
        assert importlib.util.find_spec(name), name


def test_every_profile_is_named_and_the_other_way_round():
    table = TEXT.split("| profile |")[1].split("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert named == {p.stem for p in load_config.PROFILES.glob("*.toml")}


RUN = r"^    (?:\./run_all\.sh|python -m pipeline\.\w+) +(\w+.*)$"
COMMANDS = re.findall(RUN, TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_words_of_every_command_are_understood(command):
    profile, *given = command.split("#")[0].split()
    spelt_out = importlib.import_module("pipeline.40_tune").spelt_out  # model=qin
    load(profile, [word for w in given if "=" in w for word in spelt_out(w)])
