"""`runs clean`: what goes, what stays, and what a crash leaves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import InputError
from features.store import atomic
from pipeline.artifacts import spec
from pipeline.artifacts.locks import locked
from pipeline.runs import clean, command, listing
from pipeline.runs.find import LATEST, find, finished_runs
from tests.helpers.small_runs import SmallRuns

RATES = [round(0.1 * n, 1) for n in range(1, 11)]


@pytest.fixture(scope="module")
def ten_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ten")
    world = SmallRuns(folder)
    for number, rate in enumerate(RATES):
        world.run(rate)
        world.age(number)
    return folder


@pytest.fixture
def world(ten_runs, tmp_path):
    """Ten runs in a folder of the test's own."""
    return SmallRuns.at(shutil.copytree(ten_runs, tmp_path / "copy"))


@pytest.fixture
def runs(world, capsys):
    """What `python -m pipeline runs` with arguments prints: the exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        folders = [f"artifacts={world.artifacts}", f"submissions={world.submissions}"]
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, *folders])
        return ended.value.code, *capsys.readouterr()

    return call


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def of_run(world: SmallRuns, name: str) -> set[str]:
    """Names of the results that a run needs, below artifacts/."""
    found = listing.needs([find(world.submissions, name)], world.artifacts)
    return {
        str(result.path.relative_to(world.artifacts)) for one in found.values() for result in one
    }


def results_in(world: SmallRuns) -> set[str]:
    return {
        str(path.parent.relative_to(world.artifacts))
        for path in world.artifacts.glob(f"*/*/[!.]*/{spec.RECORD}")
    }


def test_clean_removes_what_no_kept_run_needs_and_prints_what_it_freed(world, runs):
    names = [run.name for run in finished_runs(world.submissions)]
    before, submitted = results_in(world), files(world.submissions)
    kept = set().union(*(of_run(world, name) for name in (names[2], *names[-3:])))
    code, planned, _ = runs("clean", names[2], "--keep", "3", "--dry-run")
    assert code == 0
    assert results_in(world) == before
    code, printed, _ = runs("clean", names[2], "--keep", "3")
    assert (code, printed) == (0, planned.replace("would be freed", "freed"))
    assert results_in(world) == kept
    for gone in before - kept:
        assert f" MB  {world.artifacts / gone}\n" in printed
    assert printed.count(" MB  ") == len(before - kept) + 1
    assert f"kept: {names[2]}, {', '.join(names[-3:])}\n" in printed
    assert files(world.submissions) == submitted
    assert runs("clean", names[2], "--keep", "3")[1].startswith("      0.0 MB  freed")


def test_the_run_that_latest_means_stays_however_old_it_is(world, runs):
    """As after its public score was noted."""
    noted, *_, last = finished_runs(world.submissions)
    (noted.folder.parent / LATEST).unlink(missing_ok=True)
    (noted.folder.parent / LATEST).symlink_to(noted.name)
    assert runs("clean", "--keep", "1")[1].endswith(f"kept: {noted.name}, {last.name}\n")
    assert results_in(world) == of_run(world, noted.name) | of_run(world, last.name)


def test_results_of_earlier_settings_and_states_that_were_given_up_go(world, runs):
    old = world.artifacts / "sample" / "50_train"
    damaged = shutil.copytree(next(old.glob("din*")), old / "din-seed0-fold0-00000000")
    (damaged / spec.RECORD).rename(damaged / spec.OLD_RECORD)
    broken = shutil.copytree(damaged, old / "din-seed0-fold0-33333333")
    (broken / spec.OLD_RECORD).rename(broken / spec.RECORD)
    (broken / spec.RECORD).write_text("{")
    state, newer = old / ".din-seed0-fold0-11111111.state", old / ".din-seed0-fold1-2.state"
    leftover = old / f".din-seed0-fold0-3.{atomic.HOST}.{2**22 + 1}.old"
    leftover.mkdir()
    for path in (damaged / spec.OLD_RECORD, broken / spec.RECORD, state, newer):
        path.touch()
        os.utime(path, (10**9, 10**9))
    os.utime(damaged, (10**9, 10**9))
    os.utime(newer)
    keep_name = of_run(world, "latest")
    assert runs("clean", "--keep", "1")[0] == 0
    assert results_in(world) == keep_name
    assert not any(path.exists() for path in (damaged, broken, state, leftover))
    assert newer.exists()


def test_what_is_newer_than_the_last_run_and_of_none_stays(world, runs):
    fit = next((world.artifacts / "sample" / "50_train").glob("din*"))
    newer = shutil.copytree(fit, fit.with_name("din-seed0-fold1-aaaaaaaa"))
    text = (newer / spec.RECORD).read_text()
    digest = spec.record(newer)["digest"]
    text = re.sub(r'"made": "[^"]*"', '"made": "2021-01-01T00:00:00+00:00"', text)
    (newer / spec.RECORD).write_text(text.replace(digest, "of no run"))
    code, printed, _ = runs("clean", "--keep", "1")
    assert code == 0
    assert newer.exists()
    assert "newer than the last run, kept too: 1 results" in printed


def test_what_is_not_ours_stays(world, runs, tmp_path):
    outside = tmp_path / "outside"
    fit = next((world.artifacts / "sample" / "50_train").glob("din*"))
    shutil.copytree(fit, outside)
    (fit.parent / "linked").symlink_to(outside)
    study = world.artifacts / "sample" / "40_tune" / "din-kfold2-1"
    shutil.copytree(fit, study)
    (world.artifacts / "sample" / "40_tune" / "studies.journal").write_text("{}\n")
    for path in ("notes.txt", "sample/notes.txt", "sample/50_train/mine/notes.txt", "mine/x/y.txt"):
        (world.artifacts / path).parent.mkdir(parents=True, exist_ok=True)
        (world.artifacts / path).write_text("mine")
    before = files(world.artifacts)
    mine = {name: content for name, content in before.items() if content == b"mine"}
    assert len(mine) == 4
    runs("clean", "--keep", "1")
    assert (outside / spec.RECORD).exists()
    assert (fit.parent / "linked").is_symlink()
    assert (study / spec.RECORD).exists()
    assert (study.parent / "studies.journal").exists()
    assert mine.items() <= files(world.artifacts).items()


def test_while_a_run_is_at_work_nothing_is_removed(world, runs):
    fit = world.artifacts / "sample" / "50_train" / "din-seed0-fold0-aaaaaaaa"
    before = results_in(world)
    code = (
        "import sys, time; from pathlib import Path; from pipeline.artifacts.locks import locked\n"
        "with locked(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(60)"
    )
    lock = fit.with_name(f".{fit.name}.lock")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    try:
        code, _, errors = runs("clean", "--keep", "1")
    finally:
        holder.kill()
        holder.wait()
    assert code == 2
    assert f"error: process {holder.pid} on " in errors
    assert f"makes {fit}: wait until it has ended" in errors
    assert results_in(world) == before
    assert runs("clean", "--keep", "1")[0] == 0
    assert not lock.exists()


def test_a_result_that_is_locked_meanwhile_stays(world):
    plan = clean.plan(world.artifacts, world.submissions, 1, [])
    first, second = plan.remove[:2]
    with locked(clean._lock(first), "it"):
        assert [path for path, _ in clean.remove([first, second])] == [second]
    assert first.exists()
    assert clean._lock(Path("a/.din-1.state")) == Path("a/.din-1.lock")


def test_a_number_of_runs_must_be_given_and_runs_must_be_there(world, runs, tmp_path):
    for arguments in (["clean"], ["clean", "--keep", "0"], ["clean", "--keep", "-1"]):
        code, _, errors = runs(*arguments)
        assert code == 2
        assert "say how many of the latest runs stay, --keep N, at least 1" in errors
    code, _, errors = runs("clean", "--keep", "1", "research-none")
    assert code == 2
    assert "no run 'research-none'" in errors
    with pytest.raises(InputError, match="which results to keep is not known"):
        clean.plan(world.artifacts, tmp_path / "none", 1, [])


@pytest.mark.parametrize(("name", "call"), [("rename", 3), ("unlink", 2)])
def test_killed_half_way_what_is_seen_is_complete_and_the_next_time_ends_it(
    world, runs, name, call
):
    """Killed before the third result is hidden, or between the two files of the first."""
    kept = of_run(world, "latest")
    code = (
        "import os, signal, sys; from pipeline.runs import command\n"
        f"whole, calls = os.{name}, []\n"
        "def stop(*arguments, **options):\n"
        "    calls.append(1)\n"
        f"    if len(calls) == {call}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(*arguments, **options)\n"
        f"os.{name} = stop\n"
        "command.main(sys.argv[1:])"
    )
    folders = [f"artifacts={world.artifacts}", f"submissions={world.submissions}"]
    done = subprocess.run([sys.executable, "-c", code, "clean", "--keep", "1", *folders])
    assert done.returncode == -9
    assert kept < results_in(world)
    for path in results_in(world):
        record = spec.record(world.artifacts / path)
        assert all((world.artifacts / path / file).is_file() for file in record["files"])
    assert runs("clean", "--keep", "1")[::2] == (0, "")
    assert results_in(world) == kept
    assert not list(world.artifacts.rglob(".*"))
