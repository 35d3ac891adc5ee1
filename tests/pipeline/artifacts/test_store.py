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
def place(tmp_path):
    return ArtifactSpec(
        "20_folds", "kfold", tmp_path / "20_folds", {"n": 5, "seed": 0}, {"store": "ab"}
    )


def fill(place, text="x"):
    with write_artifact(place) as out:
        (out / "a.txt").write_text(text)
        out.report["seconds"] = len(text)


def test_an_artifact_appears_whole_with_its_record(place):
    with pytest.raises(MissingArtifact, match=r"is missing; it is written by pipeline\.20_folds"):
        require(place)
    fill(place)
    record = spec.record(require(place))
    assert record["settings"] == place.settings
    assert set(record["files"]) == {"a.txt"}
    assert [p.name for p in place.folder.iterdir()] == [place.path.name]


def test_a_crash_inside_leaves_nothing(place):
    def crash():
        with write_artifact(place) as out:
            (out / "a.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert not list(place.folder.iterdir())


def test_a_killed_process_leaves_nothing_visible_and_the_next_run_clears_up(place):
    code = (
        "import os, signal, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from pipeline.artifacts.spec import ArtifactSpec\n"
        "from pipeline.artifacts.store import write_artifact\n"
        f"p = ArtifactSpec('20_folds', 'kfold', Path({str(place.folder)!r}),"
        f" {place.settings}, {place.inputs})\n"
        "with write_artifact(p) as out:\n"
        "    (out / 'a.txt').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = place.folder.iterdir()
    assert left.name.startswith(".")
    assert not place.done
    other = replace(place, settings={"n": 4})  # whatever is published next in the folder
    fill(other)
    assert [p.name for p in place.folder.iterdir()] == [other.path.name]


def test_the_name_changes_with_settings_and_inputs_but_not_with_their_order(place):
    assert replace(place, settings={"n": 4, "seed": 0}).hash != place.hash
    assert replace(place, inputs={"store": "cd"}).hash != place.hash
    assert replace(place, settings={"seed": 0, "n": 5}).hash == place.hash
    swapped = [{"a": 0.1, "b": 0.2}, {"a": 0.2, "b": 0.1}]
    assert len({replace(place, settings=s).hash for s in swapped}) == 2


def test_the_digest_follows_the_files_and_not_the_clock(place):
    fill(place, "x")
    first = digest(place)
    fill(place, "x")
    assert digest(place) == first
    fill(place, "xy")
    assert digest(place) != first


@pytest.mark.parametrize("harm", ["record", "file", "length"])
def test_a_damaged_artifact_is_not_done_and_is_replaced_as_a_whole(place, harm):
    fill(place)
    if harm == "record":
        (place.path / spec.RECORD).write_text("")
    elif harm == "file":
        (place.path / "a.txt").unlink()
    else:
        (place.path / "a.txt").write_text("xyz")
    assert not place.done
    fill(place)
    assert place.done


def test_another_processes_scratch_folder_and_stray_files_stay(place):
    place.folder.mkdir(parents=True)
    gone = f"elsewhere.{2**22 + 1}"  # no process here has that number, but another machine's may
    ends = (f"{atomic.HOST}.1", f"{atomic.HOST}.1.old", gone, "x")
    theirs = [place.folder / f".{place.path.name}.{end}" for end in ends]
    for path in theirs:
        path.mkdir()
    fill(place)
    assert all(path.is_dir() for path in theirs)
