"""The sample on two devices: its commands, what is read of its results, and how they compare."""

import json
import sys
from dataclasses import replace

import pytest

from bench.gpu import sample
from bench.gpu.scale import TOY_SCALE, Scale
from tests.helpers.tiny_runs import run

CPU = sample.Run(
    networks={"qin": {"cv": 0.8, "valid": 0.81}, "din": {"cv": 0.7, "valid": 0.71}},
    blenders={"logit_mean": {"cv": 0.82, "valid": 0.83}},
    rows_per_second={"qin": 100.0, "din": 200.0},
    seconds=9.0,
)


@pytest.mark.parametrize("scale", [Scale(), TOY_SCALE], ids=["sample", "toy"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_pipeline_accepts_its_command(scale, device, tmp_path):
    arguments = sample.command(scale, device, tmp_path)
    assert arguments[:2] == [sys.executable, "-m"]
    output = run(*arguments[2:], "--dry-run", shell=False)
    assert output.splitlines()[-1] == "70_submit to build"


def test_results_are_read_where_the_pipeline_writes_them(tmp_path):
    blend = {"models": CPU.networks, "blenders": CPU.blenders, "chosen": "logit_mean"}
    files = {"60_blend/blend-0a/blend.json": blend}
    for model, speeds in {"qin": (50, 150), "din": (200, 200)}.items():
        for fold, speed in enumerate(speeds):
            name = f"50_train/{model}-seed0-fold{fold}-0a/artifact.json"
            files[name] = {"report": {"rows_per_second": speed}}
    for name, content in files.items():
        path = tmp_path / "sample" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    assert sample.read(tmp_path, seconds=9.0) == CPU


def test_equal_runs_agree():
    rows = list(sample.compare(CPU, CPU))
    assert [row["score"] for row in rows] == ["qin", "din", "logit_mean"]
    assert all(row["ok"] and row["distance"] == 0 for row in rows)
    assert len({tuple(row) for row in rows}) == 1  # the same columns in the same order
    assert [row["train rows/s, GPU"] for row in rows] == [100.0, 200.0, None]


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_score_that_is_further_away_than_the_tolerance_is_wrong(sign):
    moved = CPU.networks["din"] | {"valid": 0.71 + sign * 1.01 * sample.TOLERANCE}
    gpu = replace(CPU, networks=CPU.networks | {"din": moved})
    wrong = [row["score"] for row in sample.compare(CPU, gpu) if not row["ok"]]
    assert wrong == ["din"]


def test_a_run_that_fails_shows_the_end_of_its_output(tmp_path):
    arguments = [*sample.command(TOY_SCALE, "cpu", tmp_path), "folds.n=none"]
    with pytest.raises(RuntimeError, match=r"ended with 2:\nerror: (.|\n)*folds\.n"):
        sample.run(arguments, tmp_path)


@pytest.mark.long  # two whole runs: the toy run of all parts leaves this one out
def test_two_runs_on_the_cpu_give_the_same_scores():
    rows = list(sample.sample(TOY_SCALE))
    assert {"din", "logit_mean", "lightgbm"} <= {row["score"] for row in rows}
    assert {row["distance"] for row in rows} == {0.0}
    assert rows[0]["train rows/s, CPU"] > 0
