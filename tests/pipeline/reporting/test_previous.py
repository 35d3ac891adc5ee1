"""The run before this one on the same data, found and shown."""

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.artifacts import spec
from pipeline.config import load as load_config
from pipeline.reporting.previous import Previous, previous
from pipeline.reporting.sections import previous as section_of
from pipeline.runs.find import FinishedRun, finished_runs
from pipeline.runs.paired import PairedDifference
from tests.helpers.report import run_of
from tests.helpers.small_runs import SmallRuns


@pytest.fixture
def world(tmp_path):
    """Two runs on one data set, one on others between them; a row of scores for each."""
    world = SmallRuns(tmp_path)
    for day, (rate, data) in enumerate(((0.1, "aaaa"), (0.2, "bbbb"), (0.3, "aaaa"))):
        world.run(rate, data=data)
        world.age(day)
    label, user = np.arange(40) % 2, np.arange(40) // 4
    for number, blend in enumerate(sorted(world.artifacts.glob("sample/60_blend/*"))):
        scores = np.random.default_rng(number).normal(size=40) + label
        table = {"row_id": range(40), "user_id": user, "label": label, "probability": scores}
        pl.DataFrame(table).write_parquet(blend / "valid.parquet")
    for report in world.artifacts.glob("sample/80_report/*"):
        (report / "scores.json").write_text(json.dumps({"of": report.name}))
    return world


def settings(world: SmallRuns):
    return load_config.load("sample", [f"artifacts={world.artifacts}"])


def test_the_last_earlier_run_on_equal_data_is_compared(world):
    first, other, last = finished_runs(world.submissions)
    found = previous(settings(world), last.folder)
    assert found is not None
    assert found.run.folder == first.folder
    assert [row.name for row in found.valid] == ["submitted"]
    assert found.settings == {"din.fit.learning_rate": (0.3, 0.1)}
    (report,) = [
        path
        for path in world.artifacts.glob("sample/80_report/*")
        if spec.record(path)["inputs"]["70_submit"] == first.record["digest"]
    ]
    assert found.scores == {"of": report.name}
    assert previous(settings(world), first.folder) is None
    assert previous(settings(world), other.folder) is None


def test_of_a_run_whose_results_were_removed_the_scores_are_left(world):
    *_, last = finished_runs(world.submissions)
    first = finished_runs(world.submissions)[0]
    for stage in ("60_blend", "80_report"):
        for path in (world.artifacts / "sample" / stage).iterdir():
            if path.is_dir() and path.name not in str(last.record):
                inputs = spec.record(path)["inputs"]
                if spec.record(path)["digest"] == first.record["inputs"]["blend"] or (
                    inputs.get("70_submit") == first.record["digest"]
                ):
                    shutil.rmtree(path)
    found = previous(settings(world), last.folder)
    assert found == Previous(run=first)


def shown(**changed) -> Previous:
    manifest = {"typed": "./run_all.sh sample folds.n=3", "cv": 0.8, "valid": 0.85}
    record = {"made": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).isoformat()}
    run = FinishedRun(Path("submissions/sample/research-0"), record, manifest)
    rows = [
        PairedDifference("submitted", 0.87, 0.85, 0.02, 0.01, 0.03, "users"),
        PairedDifference("qin", 0.87, 0.869, 0.001, -0.002, 0.004, "users"),
    ]
    fields = {"run": run, "valid": rows, "settings": {"folds.n": (2, 3)}}
    return Previous(**fields | changed)


def test_scores_of_both_their_difference_and_what_was_changed_are_shown():
    section = section_of.section(run_of(previous=shown()))
    assert "is research-0, 1 January 2026." in section.finding
    assert section.finding.endswith("+0.02000 AUC against it (95% +0.01000 to +0.03000).")
    typed, table, note, settings = section.blocks
    assert typed.text == "./run_all.sh sample folds.n=3"
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["CV"] == ["0.88500", "0.80000", "+0.08500"]
    assert rows["hidden test"] == ["0.86000", "-", "-"]
    assert rows["qin"][:2] == ["0.87000", "0.86900"]
    assert not isinstance(rows["qin"][2], section_of.Verdict)  # its interval holds 0
    assert [row[-1].good for row in table.rows if isinstance(row[-1], section_of.Verdict)] == [True]
    assert "paired by row, over users." in note.text
    assert settings.rows == [["folds.n", "2", "3"]]


def test_the_sentence_says_where_runs_may_be_equal_and_where_little_is_left():
    near = [PairedDifference("submitted", 0.87, 0.869, 0.001, -0.002, 0.004, "users")]
    section = section_of.section(run_of(previous=shown(valid=near)))
    assert section.finding.endswith(": they may be equal.")
    same = [PairedDifference("submitted", 0.87, 0.87, 0.0, 0.0, 0.0, "users")]
    section = section_of.section(run_of(previous=shown(valid=same)))
    assert section.finding.endswith("both submissions rank the rows alike.")
    removed = section_of.section(run_of(previous=shown(valid=[], settings={})))
    assert "Its results have been removed" in removed.finding
    assert len(removed.blocks) == 3
    assert section_of.section(run_of()) is None
