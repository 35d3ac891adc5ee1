"""The benches of size and scaling, at tiny sizes."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from bench import challenge_like, compare, prepare, report, scaling, steps
from bench.alone import alone
from bench.scaling import Point
from features.errors import InputError
from models.settings import FitSettings
from pipeline.artifacts import provenance
from pipeline.config import load as load_config
from tests.helpers import small

PUBLISHED = load_config.load("microlens_1m", ["models=qin,din"]).networks
TINY = ["qin.embedding_dim=4", "qin.qnn.layers=1", "--steps", "1", "--items", "30"]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_steps_are_a_real_fit_whose_epochs_end_early():
    network, (rows, label) = small.network(small.settings()), small.rows(n_rows=20)
    calls = []
    network.interest.register_forward_pre_hook(
        lambda part, given: calls.append((part.training, len(given[0])))
    )
    got = steps.measure(
        network,
        rows,
        label,
        rows.take(torch.arange(7)),
        label[:7],
        FitSettings(batch_size=4, patience=1),
        2,
    )
    assert calls == [(True, 4), (True, 4), (False, 7)] * steps.EPOCHS
    assert got.train_rows_per_second * got.step_seconds == pytest.approx(4)
    assert 0 < got.step_seconds < 60
    assert got.inference_rows_per_second > 0
    assert got.weights_mib == sum(w.nbytes for w in network.parameters()) / 2**20
    assert 0 < got.before_mib <= got.peak_mib
    assert got.device_mib is None


def test_a_loss_that_is_not_finite_ends_in_one_line():
    network, (rows, label) = small.network(small.settings()), small.rows()
    network.likes.weight.data.fill_(torch.nan)
    with pytest.raises(InputError, match="steps to be measured failed: epoch 1"):
        steps.measure(network, rows, label, rows, label, FitSettings(batch_size=4), 2)


def test_a_process_of_its_own_has_a_peak_of_its_own():
    ballast = np.ones(600 * 2**17)  # 600 MiB
    assert alone("peak", provenance.peak_mib) < provenance.peak_mib() - 300
    assert provenance.peak_mib() >= steps.resident_mib() >= ballast.nbytes >> 20


def test_errors_come_back_and_a_killed_process_is_named():
    with pytest.raises(ValueError, match="'a'") as error:
        alone("number", int, "a")
    assert "alone.py" in error.value.__notes__[0]
    with pytest.raises(InputError, match="the largest: its process was killed"):
        alone("the largest", os._exit, 9)


def test_one_quantity_is_varied_at_a_time_around_the_first_values():
    lists = {"rows": "90,80,90", "history": "3", "items": "20,30,10", "batch": "8"}
    assert scaling.points(lists, PUBLISHED["qin"]) == {
        Point(90, 3, 20, 8): "base",
        Point(80, 3, 20, 8): "rows",
        Point(90, 3, 10, 8): "items",
        Point(90, 3, 30, 8): "items",
    }


def test_generated_histories_may_have_one_length():
    rows, label = challenge_like.rows(4002, 64, 50, length=5)
    assert len(rows) == len(label) == 4002
    assert rows.history.bincount().tolist() == [4] * 1000 + [2]
    assert torch.equal(rows.user, rows.history)
    assert rows.offsets.tolist() == list(range(0, 5006, 5))
    assert len(rows.values) == 5005
    for items in (rows.item, rows.values):
        count = items.bincount(minlength=50)
        assert (len(count), count[0]) == (50, 0)
        assert count[1:].min() > 0
        assert count[1:6].sum() > 2 * count[-5:].sum()  # popular ones first
    assert 0.2 < label.mean() < 0.3
    batch = rows.batch(torch.arange(8))
    assert batch.history.offsets.tolist() == list(range(0, 45, 5))
    items = challenge_like.items(50)
    assert (items.tags[0].sum(), items.content[0].abs().sum()) == (0, 0)
    assert len(items.tags) == rows.n_items


def test_slopes_are_the_exponents():
    def measured(varied, rows, batch):
        return {
            "varied": varied, "rows": rows, "history": 3, "items": 9, "batch": batch,
            "step_seconds": 2e-3 * batch, "inference_rows_per_second": 70.0,
            "device_mib": None, "peak_mib": 100 + 7 * rows**0.5, "libraries_mib": 100,
        }  # fmt: skip

    found = scaling.slopes(
        [
            measured(*of)
            for of in (("base", 9, 4), ("rows", 25, 4), ("rows", 81, 4), ("batch", 9, 8))
        ]
    )
    assert list(found) == ["rows", "batch"]
    assert list(found["rows"].values()) == pytest.approx([0, 0, 0.5])
    assert list(found["batch"].values()) == pytest.approx([1, 0, 0])


def test_scaling_says_a_line_a_point_each_from_a_process_of_its_own(threads, capsys, monkeypatch):
    calls = []

    def here(what, function, *arguments):
        calls.append((what, capsys.readouterr().err))  # what was said before this point
        return function(*arguments)

    monkeypatch.setattr(scaling, "alone", here)
    given = ["--rows", "40,80", "--history", "3,2", "--batch", "8", "--json"]
    assert scaling.main([*TINY, *given]) == 0
    said, captured = [err for _, err in calls], capsys.readouterr()
    assert [what.split("(")[1].split(",")[0] for what, _ in calls] == [
        "rows=40",
        "rows=80",
        "rows=40",
    ]
    assert "qin, train.threads=1, wall clock" in said[0]
    assert said[1].startswith("| base | 40 | 3 | 30 | 8 | ")
    assert said[2].startswith("| rows | 80 | 3 | 30 | 8 | ")
    assert captured.err.startswith("| history | 40 | 2 | 30 | 8 | ")
    found = json.loads(captured.out)
    assert [p["varied"] for p in found["points"]] == ["base", "rows", "history"]
    assert list(found["slopes"]) == ["rows", "history"]
    assert found["machine"]["commit"] == provenance.commit()
    table = [line for text in (*said, captured.err) for line in text.splitlines() if "|" in line]
    assert {line.count("|") for line in table[:5]} == {len(scaling.HEAD) + 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--history", "8,65"], "--history 65: the network reads the last 64 items"),
        (["--rows", "100", "--batch", "8,128"], "--rows 100: expected at least the largest batch"),
        (["--batch", "8,x"], "--batch 8,x: expected numbers of at least 2"),
        (["--items", "1"], "--items 1: expected numbers of at least 2"),
        (["--steps", "0"], "--steps = 0 must be at least 1"),
        (["--model", "qinn"], "did you mean 'qin'?"),
        (["--device", "tpu"], "train.device = 'tpu' must be"),
    ],
)
def test_scaling_refuses_what_cannot_be(words, said, capsys):
    assert scaling.main(words) == 2
    assert said in capsys.readouterr().err


def test_prepare_runs_the_stages_and_steps_of_training(tmp_path, capsys):
    given = ["--rows", "800", "--items", "200", "--steps", "1", "--out", str(tmp_path)]
    assert prepare.main([*given, "--model", "din", "--json", "--keep"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert list(found["stages"]) == ["00_data", "10_prepare", "20_folds", "30_features"]
    for stage in found["stages"].values():
        assert 0 < stage["seconds"] < stage["process_seconds"]
        assert stage["cpu_seconds"] > 0
        assert 50 < stage["peak_mib"] < 2000
    (folder,) = tmp_path.iterdir()
    s = load_config.load(str(folder / "generated.toml"), [])
    assert (s.networks["din"], s.data.users, s.data.items) == (PUBLISHED["din"], 200, 200)
    (store,) = folder.glob("generated/10_prepare/store-*")
    items = sum(path.stat().st_size for path in store.glob("items/*"))
    total = sum(p.stat().st_size for p in store.rglob("*") if p.is_file() and p.stem != "artifact")
    assert found["store"]["items_mb"] == pytest.approx(items / 1e6)
    assert found["store"]["rows_mb"] == pytest.approx((total - items) / 1e6)
    got = found["training"]
    order = [got[f"{at}_mib"] for at in ("libraries", "opened", "before", "peak")]
    assert order == sorted(order)
    assert got["peak_mib"] > got["before_mib"] + 3 * got["weights_mib"]
    assert "| a batch's activations and work space | " in captured.err
    assert str(folder) in captured.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", "802"], "--rows 802 --steps 2: expected rows by the 4, at least 200"),
        (["--items", "100"], "items must be at least 200, got 100"),
        (["--model", "qinn"], "did you mean 'qin'?"),
    ],
)
def test_prepare_refuses_what_cannot_be_and_leaves_nothing(words, said, tmp_path, capsys):
    assert prepare.main([*words, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_prepare_leaves_nothing_whether_a_stage_ends_or_fails(tmp_path, capsys, monkeypatch):
    def stage(name, profile, s):
        assert profile.exists()
        if name == "20_folds":
            raise InputError("no space")
        return {"seconds": 1.0}

    monkeypatch.setattr(prepare, "run_stage", stage)
    assert prepare.main(["--out", str(tmp_path)]) == 2
    assert "| 10_prepare | 1.0 |" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_described_in_a_line():
    m = report.machine()
    assert (m["cores"], m["commit"]) == (len(os.sched_getaffinity(0)), provenance.commit())
    assert f"{m['cores']} cores" in report.heading(m)
    assert report.head(["a", "b"]) == "| a | b |\n| --- | --- |"


@pytest.fixture
def blends(tmp_path, monkeypatch) -> list[Path]:
    """Two folders of 60_blend on eight rows of four users, and a third on other rows."""
    users = SimpleNamespace(valid=SimpleNamespace(user=np.arange(8) // 2))
    monkeypatch.setattr(compare, "open_store", lambda folder: users)
    scores = {"a": [1.0, 2, 3, 4, 5, 6, 7, 8], "b": [8.0, 7, 6, 5, 4, 3, 2, 1]}
    for name, column in (("before", "b"), ("after", "a"), ("other", "a")):
        label = [0, 1] * 4 if name != "other" else [1, 0] * 4
        table = {"row_id": range(8), "user_id": users.valid.user, "label": label}
        table |= {"qin": scores[column], "probability": 0.5}
        (tmp_path / name).mkdir()
        pl.DataFrame(table).write_parquet(tmp_path / name / "valid.parquet")
    return [tmp_path / name for name in ("before", "after", "other")]


def test_two_runs_are_compared_row_by_row(blends, capsys):
    before, after, _ = map(str, blends)
    assert compare.main(["store", before, after]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| qin | 0.62500 | 0.37500 | +0.25000 | +")
    assert compare.main(["store", after, after]) == 0
    assert "| +0.00000 | +0.00000 to +0.00000 |" in capsys.readouterr().out


def test_runs_on_other_rows_and_other_folders_are_refused(blends, capsys):
    before, _, other = map(str, blends)
    assert compare.main(["store", before, other]) == 2
    assert "were made on different rows" in capsys.readouterr().err
    assert compare.main(["store", before, str(blends[0].parent)]) == 2
    assert "is no folder of 60_blend" in capsys.readouterr().err
