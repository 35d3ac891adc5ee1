"""bench.scaling at tiny sizes."""

import json

import pytest
import torch

from bench import scaling
from bench.scaling import SweepPoint
from pipeline.artifacts import provenance
from pipeline.config import load as load_config

PUBLISHED = load_config.load("microlens_1m", ["models=qin,din"]).networks
TINY = ["qin.embedding_dim=4", "qin.qnn.layers=1", "--steps", "1", "--items", "30"]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_quantity_varies_at_a_time_around_the_first_values():
    lists = {"rows": "90,80,90", "history": "3", "items": "20,30,10", "batch": "8"}
    assert scaling.points(lists, PUBLISHED["qin"]) == {
        SweepPoint(90, 3, 20, 8): "base",
        SweepPoint(80, 3, 20, 8): "rows",
        SweepPoint(90, 3, 10, 8): "items",
        SweepPoint(90, 3, 30, 8): "items",
    }


def test_slopes_are_the_exponents():
    def figures(varied, rows, batch):
        return {
            "varied": varied, "rows": rows, "history": 3, "items": 9, "batch": batch,
            "step_seconds": 2e-3 * batch, "inference_rows_per_second": 70.0,
            "device_mib": None, "peak_mib": 100 + 7 * rows**0.5, "libraries_mib": 100,
        }  # fmt: skip

    exponents = scaling.slopes(
        [
            figures(*point)
            for point in (("base", 9, 4), ("rows", 25, 4), ("rows", 81, 4), ("batch", 9, 8))
        ]
    )
    assert list(exponents) == ["rows", "batch"]
    assert list(exponents["rows"].values()) == pytest.approx([0, 0, 0.5])
    assert list(exponents["batch"].values()) == pytest.approx([1, 0, 0])


def test_each_point_is_a_subprocess_and_a_line(threads, capsys, monkeypatch):
    calls = []

    def call_here(label, function, *arguments):
        calls.append((label, capsys.readouterr().err))  # the lines printed before this point
        return function(*arguments)

    monkeypatch.setattr(scaling, "call_in_subprocess", call_here)
    sweep = ["--rows", "40,80", "--history", "3,2", "--batch", "8", "--json"]
    assert scaling.main([*TINY, *sweep]) == 0
    printed, captured = [err for _, err in calls], capsys.readouterr()
    assert [label.split("(")[1].split(",")[0] for label, _ in calls] == [
        "rows=40",
        "rows=80",
        "rows=40",
    ]
    assert "qin, train.threads=1, wall clock" in printed[0]
    assert printed[1].startswith("| base | 40 | 3 | 30 | 8 | ")
    assert printed[2].startswith("| rows | 80 | 3 | 30 | 8 | ")
    assert captured.err.startswith("| history | 40 | 2 | 30 | 8 | ")
    results = json.loads(captured.out)
    assert [p["varied"] for p in results["points"]] == ["base", "rows", "history"]
    assert list(results["slopes"]) == ["rows", "history"]
    assert results["machine"]["commit"] == provenance.commit()
    table = [line for text in (*printed, captured.err) for line in text.splitlines() if "|" in line]
    assert {line.count("|") for line in table[:5]} == {len(scaling.HEADER) + 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--history", "8,65"], "--history 65: the network reads the last 64 items"),
        (["--rows", "100", "--batch", "8,128"], "--rows 100: expected at least the largest batch"),
        (["--batch", "8,x"], "--batch 8,x: expected whole numbers of at least 2"),
        (["--items", "1"], "--items 1: expected whole numbers of at least 2"),
        (["--steps", "0"], "--steps = 0 must be at least 1"),
        (["--model", "qinn"], "did you mean 'qin'?"),
        (["--device", "tpu"], "train.device = 'tpu' must be"),
    ],
)
def test_bad_options_are_refused(options, message, capsys):
    assert scaling.main(options) == 2
    assert message in capsys.readouterr().err
