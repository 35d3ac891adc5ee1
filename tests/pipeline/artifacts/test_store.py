"""Names, publishing, and what a crash leaves."""

import subprocess
import sys
from dataclasses import replace

import pytest

from features.store import atomic
from pipeline.artifacts import spec
from pipeline.artifacts.spec import ArtifactSpec, MissingArtifact, digest, require
from pipeline.artifacts.store import write_artifact


@pytest.fixture
def target(tmp_path):
    return ArtifactSpec(
        "20_folds", "kfold", tmp_path / "20_folds", {"n": 5, "seed": 0}, {"store": "ab"}
    )


def fill(target, text="x"):
    with write_artifact(target) as out:
        (out / "a.txt").write_text(text)
        out.report["seconds"] = len(text)


def test_an_artifact_appears_whole_with_its_record(target):
    with pytest.raises(
        MissingArtifact, match=r"is missing; it is written by: python -m pipeline\.20_folds"
    ):
        require(target)
    fill(target)
    record = spec.record(require(target))
    assert record["settings"] == target.settings
    assert set(record["files"]) == {"a.txt"}
    assert [p.name for p in target.folder.iterdir()] == [target.path.name]


def test_a_crash_inside_leaves_nothing(target):
    def crash():
        with write_artifact(target) as out:
            (out / "a.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert not list(target.folder.iterdir())


def test_a_killed_process_leaves_nothing_visible_and_the_next_run_clears_up(target):
    code = (
        "import os, signal, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from pipeline.artifacts.spec import ArtifactSpec\n"
        "from pipeline.artifacts.store import write_artifact\n"
        f"p = ArtifactSpec('20_folds', 'kfold', Path({str(target.folder)!r}),"
        f" {target.settings}, {target.inputs})\n"
        "with write_artifact(p) as out:\n"
        "    (out / 'a.txt').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = target.folder.iterdir()
    assert left.name.startswith(".")
    assert not target.done
    other = replace(target, settings={"n": 4})  # whatever is published next in the folder
    fill(other)
    assert [p.name for p in target.folder.iterdir()] == [other.path.name]


def test_the_name_changes_with_settings_and_inputs_but_not_with_their_order(target):
    assert replace(target, settings={"n": 4, "seed": 0}).hash != target.hash
    assert replace(target, inputs={"store": "cd"}).hash != target.hash
    assert replace(target, settings={"seed": 0, "n": 5}).hash == target.hash
    swapped = [{"a": 0.1, "b": 0.2}, {"a": 0.2, "b": 0.1}]
    assert len({replace(target, settings=s).hash for s in swapped}) == 2


def test_the_digest_follows_the_files_and_not_the_clock(target):
    fill(target, "x")
    first = digest(target)
    fill(target, "x")
    assert digest(target) == first
    fill(target, "xy")
    assert digest(target) != first


@pytest.mark.parametrize("harm", ["record", "file", "length"])
def test_a_damaged_artifact_is_not_done_and_is_replaced_as_a_whole(target, harm):
    fill(target)
    if harm == "record":
        (target.path / spec.RECORD).write_text("")
    elif harm == "file":
        (target.path / "a.txt").unlink()
    else:
        (target.path / "a.txt").write_text("xyz")
    assert not target.done
    fill(target)
    assert target.done


def test_another_processes_scratch_folder_and_stray_files_stay(target):
    target.folder.mkdir(parents=True)
    gone = f"elsewhere.{2**22 + 1}"  # no process here has that number, but another machine's may
    ends = (f"{atomic.HOST}.1", f"{atomic.HOST}.1.old", gone, "x")
    theirs = [target.folder / f".{target.path.name}.{end}" for end in ends]
    for path in theirs:
        path.mkdir()
    fill(target)
    assert all(path.is_dir() for path in theirs)
