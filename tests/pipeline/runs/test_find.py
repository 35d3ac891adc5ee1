"""Runs by name, and what they are made from."""

import json
import os

import pytest

from features.errors import InputError
from pipeline.runs import results
from pipeline.runs.find import find, finished_runs
from tests.helpers.small_runs import SmallRuns


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = SmallRuns(tmp_path_factory.mktemp("runs[1]"))
    for number, rate in enumerate((0.1, 0.2)):
        record = world.run(rate) / "artifact.json"
        written = json.loads(record.read_text()) | {"made": f"2026-01-0{number + 1}T10:00:00+01:00"}
        record.write_text(json.dumps(written))
    (world.submissions / "sample" / "my own files").mkdir()
    (world.submissions / "sample" / "latest").symlink_to(record.parent.name)
    return world


def test_a_run_is_found_by_its_name_the_beginning_of_it_its_hash_and_its_folder(world):
    old, new = finished_runs(world.submissions)
    assert old.made < new.made
    assert new.typed == "./run_all.sh sample rate=0.2"
    word = next(n for n in range(1, 99) if old.name[:n] != new.name[:n])
    folder = str(world.submissions / "sample" / old.name)
    for name in (old.name, old.name[:word], old.name.split("-")[1], f"{folder}/"):
        assert find(world.submissions, name) == old
    for name in ("latest", "sample/latest", "submissions/sample/latest"):
        assert find(world.submissions, name) == new


def test_latest_is_the_run_that_ended_last_also_where_nothing_of_it_was_made_again(world):
    """Its report renews the link; 90_score --run submissions/sample/latest reads that."""
    old, new = finished_runs(world.submissions)
    link = world.submissions / "sample" / "latest"
    for run in (old, new):
        link.unlink()
        link.symlink_to(run.name)
        assert find(world.submissions, "latest") == find(world.submissions, str(link)) == run
    link.unlink()
    assert find(world.submissions, "latest") == new  # the last one made
    link.symlink_to(new.name)


def test_a_name_of_no_run_or_of_several_is_refused_with_the_nearest(world, tmp_path):
    old, new = (run.name for run in finished_runs(world.submissions))
    with pytest.raises(InputError, match=r"no run 'research-none' in .*; the nearest: "):
        find(world.submissions, "research-none")
    with pytest.raises(InputError, match=f"may be any of sample/{old}, sample/{new}: write more"):
        find(world.submissions, "research")
    with pytest.raises(InputError, match="holds none yet"):
        find(tmp_path, "latest")
    with pytest.raises(InputError, match="no run 'other/research'"):
        find(world.submissions, "other/research")


def test_a_broken_record_is_named(tmp_path):
    world = SmallRuns(tmp_path)
    record = world.run(0.1) / "artifact.json"
    record.write_text("{")
    with pytest.raises(InputError, match=f"{record} cannot be read as JSON"):
        finished_runs(world.submissions)


def test_runs_of_older_versions_have_a_time_and_a_command(tmp_path):
    world = SmallRuns(tmp_path)
    record = world.run(0.1, typed=None, overrides=["din.fit=1"]) / "artifact.json"
    for path, key in ((record, "made"), (record.with_name("manifest.json"), "typed")):
        written = json.loads(path.read_text())
        del written[key]
        path.write_text(json.dumps(written))
    os.utime(record, (10**9, 10**9))
    (run,) = finished_runs(world.submissions)
    assert (run.made.timestamp(), run.typed) == (10**9, "./run_all.sh sample din.fit=1")


def test_the_results_of_a_run_are_found_from_its_records(world):
    old, new = finished_runs(world.submissions)
    by_sha256 = results.index(results.results(world.artifacts / "sample"))
    stages = {run.name: results.by_stage(results.needed(run, by_sha256)) for run in (old, new)}
    names = ["00_data", "10_prepare", "20_folds", "30_features"]
    names += ["50_train", "55_mask", "60_blend", "80_report"]
    for found in stages.values():
        assert list(found) == names
        assert {len(one) for one in found.values()} == {1}
    for stage in names:
        shared = stages[old.name][stage] == stages[new.name][stage]
        assert shared == (stage < "50_train")
    (blend,) = stages[new.name]["60_blend"]
    inputs = results.made_from(blend.record, by_sha256)
    assert list(inputs) == ["din-seed0-fold0", "store", "folds", "features"]
    assert inputs["din-seed0-fold0"] == stages[new.name]["50_train"][0]
