"""--help of everything that can be run: in 80 columns, by the name that is typed, with exit 0."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import bench.__main__
from pipeline import graph
from pipeline.runtime import cli
from tests.helpers.tiny_runs import run

RUNNABLE = (
    "pipeline",
    *(f"pipeline.{stage}" for stage in (*graph.STAGES, "90_score")),
    "submissions.check",
    "bench",
    *bench.__main__.benchmarks(),
)


@pytest.mark.parametrize("name", RUNNABLE)
def test_help_fits_80_columns_and_names_the_command(name, monkeypatch, capsys):
    spec = find_spec(name)
    if spec.submodule_search_locations:  # a folder, whose __main__.py runs
        spec = find_spec(f"{name}.__main__")
    module = import_module(spec.name)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        getattr(module, "main", lambda: cli.stage(module.__doc__, module.work))()
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: python -m {name} ")
    assert text.isascii()  # in any locale
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert module.__doc__.partition("\n")[0] in text or name == "submissions.check"


def test_help_of_the_whole_run_lists_the_stages():
    text = run("--help")
    assert text.startswith("usage: ./run_all.sh ")
    stages = text.partition("stages of --from and --to: ")[2]
    assert stages.replace(",", "").split() == list(graph.STAGES)


def test_bench_lists_what_can_be_measured(capsys):
    assert bench.__main__.main([]) == 0
    text = capsys.readouterr().out
    assert all(f"python -m {name} " in text for name in bench.__main__.benchmarks())
