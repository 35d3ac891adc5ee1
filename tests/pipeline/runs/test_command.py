"""`python -m pipeline runs`: what it prints and refuses."""

import shutil
from importlib import import_module

import numpy as np
import polars as pl
import pytest

from pipeline.artifacts import spec
from pipeline.reporting import leaderboard
from pipeline.runs.find import finished_runs
from tests.helpers.small_runs import SmallRuns
from tests.pipeline.reporting.test_leaderboard import SCORES

FIGURES = {"commit": "abc", "blend": "best_single", "weights": None, "runs": [], "external": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = SmallRuns(tmp_path_factory.mktemp("world"))
    for day, rate in enumerate((0.1, 0.2)):
        world.run(rate, **FIGURES)
        world.age(day)
    label, user = np.arange(40) % 2, np.arange(40) // 4
    for number, run in enumerate(finished_runs(world.submissions)):
        scores = np.random.default_rng(number).normal(size=40) + number * label
        table = {"row_id": range(40), "user_id": user, "label": label, "din": scores}
        for blend in world.artifacts.glob("sample/60_blend/*"):
            if spec.record(blend)["digest"] in run.record["inputs"].values():
                pl.DataFrame(table | {"probability": 0.5}).write_parquet(blend / "valid.parquet")
    return world


@pytest.fixture
def runs(world, capsys, monkeypatch):
    """What `python -m pipeline runs` with arguments prints: the exit code, stdout, stderr."""

    def call(*arguments: str, **folders: str) -> tuple[int, str, str]:
        folders = {"artifacts": world.artifacts, "submissions": world.submissions} | folders
        typed = [f"{name}={folder}" for name, folder in folders.items()]
        monkeypatch.setattr("sys.argv", ["pipeline", "runs", *typed, *arguments])
        with pytest.raises(SystemExit) as ended:
            import_module("pipeline.__main__").main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_runs_are_listed_with_scores_sizes_and_what_was_typed(world, runs):
    first, second = finished_runs(world.submissions)
    scores = SCORES | {"submitted": "best_single"}
    leaderboard.record(world.submissions / "leaderboard.csv", second.folder, scores, public=0.75)
    _, printed, _ = runs()
    head, *lines, note = printed.splitlines()
    assert head.split() == ["run", "when", "profile", "cv", "valid", "hidden", "public"]
    assert lines[0].split()[0] == first.name
    assert lines[0].split()[3:] == ["sample", "0.80000", "0.70000", "-", "-"]
    assert lines[2].split()[3:] == ["sample", "0.80000", "0.70000", "-", "0.75000"]
    assert lines[1].strip() == "0.0 of 0.0 MB  ./run_all.sh sample rate=0.1"
    assert "MB that no other run needs" in note
    assert max(map(len, printed.splitlines())) <= 80


def test_two_runs_are_compared_in_settings_data_and_scores(world, runs):
    first, second = finished_runs(world.submissions)
    code, printed, _ = runs("compare", first.name, second.name)
    lines = printed.splitlines()
    assert code == 0
    assert lines[0].startswith(f"A  {first.name}  ")
    assert lines[3] == "   ./run_all.sh sample rate=0.2"
    assert "data    the same; equal: train, valid" in lines
    settings = lines[lines.index("settings that differ     A    B") + 1]
    assert settings.split() == ["din.fit.learning_rate", "0.1", "0.2"]
    assert "made by  the same" in lines
    rows = {line.split()[0]: line.split() for line in lines[-3:]}
    assert list(rows) == ["submitted", "din", "intervals"]
    assert rows["submitted"][1:4] == ["0.50000", "0.50000", "+0.00000"]
    a, b, difference, low, _, high = map(float, (s.replace("to", "0") for s in rows["din"][1:]))
    assert difference == pytest.approx(b - a, abs=2e-5)
    assert low < difference < high
    back = runs("compare", second.name, first.name)[1].splitlines()[-2].split()
    assert float(back[3]) == -difference
    assert runs("compare", "latest", second.name)[1].count("the same") == 3


def test_runs_on_other_data_are_not_compared_row_by_row(world, runs):
    run = SmallRuns(world.artifacts.parent, "other", "other rows").run(0.1)
    code, printed, _ = runs("compare", "sample/latest", f"other/{run.name}")
    shutil.rmtree(run.parent)
    assert code == 0
    assert "data    train, valid differ; equal: no file" in printed
    last = printed.splitlines()[-1]
    assert last == "scores  not compared row by row: official valid differs"


def test_results_that_are_gone_are_named_with_the_command_that_makes_them(world, runs, tmp_path):
    code, _, errors = runs("compare", "latest", "latest", artifacts=str(tmp_path))
    assert code == 2
    assert f"are not in {tmp_path}: name their folder, artifacts=DIR; or make them again" in errors
    assert "./run_all.sh sample rate=0.2" in errors
    printed = runs(artifacts=str(tmp_path))[1]
    assert "    -  ./run_all.sh sample rate=0.1" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "runs nonsense: expected compare or clean, or nothing for the list"),
        (["compare", "a"], "runs compare: got 1 names, expected two runs: A B"),
        (["compare", "none", "latest"], "no run 'none'"),
        (["--keep", "3"], "--keep and --dry-run belong to"),
        (["compare", "--dry-run"], "--keep and --dry-run belong to"),
        (["folds.n=3"], "folds.n=3: expected artifacts=DIR or submissions=DIR"),
    ],
)
def test_what_cannot_be_done_is_refused(runs, arguments, message):
    code, printed, errors = runs(*arguments)
    assert (code, printed) == (2, "")
    assert errors.startswith(f"error: {message}")


def test_no_runs_yet_and_the_help(runs, tmp_path):
    code, printed, _ = runs(submissions=str(tmp_path))
    assert (code, printed) == (0, f"no runs in {tmp_path} yet; ./run_all.sh makes one\n")
    code, printed, _ = runs("--help")
    assert code == 0
    assert "python -m pipeline runs clean --keep N [NAME ...]" in printed
    assert max(map(len, printed.splitlines())) <= 80
