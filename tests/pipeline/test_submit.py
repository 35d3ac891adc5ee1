"""70_submit: a score of 60_blend becomes a submission in the order of the challenge's file."""

import functools
import importlib
import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.config import load as load_config
from pipeline.runtime.build import build

N = 40
TABLE = {"chosen": "mean", "chosen_by": "nested CV", "blenders": {"mean": {"models": []}}}
TABLE["blenders"]["mean"] |= {"cv": 0.7, "valid": 0.8}


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Runs the stage on a blend whose test rows are `change`d; returns the submission's folder."""
    test_file, ids = tmp_path / "test.parquet", np.random.default_rng(0).permutation(N) + 5
    pl.DataFrame({"ID": ids, "user_id": ids}).write_parquet(test_file)
    blended = pl.DataFrame({"ID": ids, "user_id": ids, "probability": np.linspace(0.1, 0.9, N)})

    def run(name, change):
        blend = ArtifactSpec("60_blend", name, tmp_path / "60_blend")
        with write_artifact(blend) as out:
            change(blended).write_parquet(out / "test.parquet")
            (out / "blend.json").write_text(json.dumps(TABLE))
        submission = ArtifactSpec("70_submit", name, tmp_path / "submissions")
        results = {"blend": blend, "fits": {}, "challenge_files": {"test": test_file}}
        for function, result in results.items():
            monkeypatch.setattr(graph, function, lambda s, result=result: result)
        write = importlib.import_module("pipeline.70_submit").work.__wrapped__
        build(submission, False, functools.partial(write, load_config.load("sample", [])))
        return submission.path

    return SimpleNamespace(run=run, ids=ids)


def test_the_rows_of_the_blend_may_come_in_any_order(submit):
    in_order = submit.run("in_order", lambda rows: rows)
    shuffled = submit.run("shuffled", lambda rows: rows.sample(fraction=1, shuffle=True, seed=1))
    for name in ("prediction.csv", "submission.zip"):
        assert (shuffled / name).read_bytes() == (in_order / name).read_bytes()
    written = pl.read_csv(in_order / "prediction.csv")
    assert written["ID"].to_list() == submit.ids.tolist()
    assert written["Task2"].to_list() == np.linspace(0.1, 0.9, N).tolist()
    assert json.loads((in_order / "manifest.json").read_text())["cv"] == 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.filter(pl.col("ID") != 7), "no score for ID 7$"),
        (lambda rows: pl.concat([rows, rows.filter(pl.col("ID") == 7)]), "several scores for ID 7"),
        (lambda rows: rows.with_columns(pl.col("ID").replace(7, 99)), "no test row for ID 99"),
    ],
)
def test_ids_that_differ_from_the_test_file_are_refused(submit, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        submit.run("broken", change)
    assert list((tmp_path / "submissions").glob("[!.]*")) == []
