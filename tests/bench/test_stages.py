"""bench.stages at tiny sizes: the first stages, and among the long tests all of them."""

import json

import pytest

from bench import stages
from features.errors import InputError
from features.store.schema import PUBLISHED_ROWS
from pipeline import graph
from pipeline.config import load as load_config

PUBLISHED = load_config.load("microlens_1m", ["models=qin,din"]).networks


@pytest.mark.parametrize(
    "last", ["20_folds", pytest.param("90_score", marks=pytest.mark.long)], ids="to {}".format
)
def test_it_runs_stages_and_training_steps(last, tmp_path, capsys):
    options = ["--rows", "800", "--items", "200", "--steps", "1", "--out", str(tmp_path)]
    options += ["--model", "din", "--json", "--keep", "--last", last]
    assert stages.main(options) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    (size,) = results["sizes"]
    assert (size["rows"], size["items"], size["history"]) == (800, 200, 3.2)
    assert list(size["stages"]) == stages.STAGES[: stages.STAGES.index(last) + 1]
    for figures in size["stages"].values():
        assert figures["seconds"] > 0.2
        assert figures["cpu_seconds"] > 0.2
        assert 50 < figures["peak_mib"] < 2000
        assert figures["mb"] > 0
    assert "slopes" not in results
    (folder,) = tmp_path.iterdir()
    s = load_config.load(str(folder / "generated.toml"), [])
    assert (s.networks["din"], s.data.users, s.data.items) == (PUBLISHED["din"], 200, 200)
    (store,) = folder.glob("generated/10_prepare/store-*")
    items = sum(path.stat().st_size for path in store.glob("items/*"))
    total = sum(p.stat().st_size for p in store.rglob("*") if p.is_file() and p.stem != "artifact")
    assert size["store"]["items_mb"] == pytest.approx(items / 1e6)
    assert size["store"]["rows_mb"] == pytest.approx((total - items) / 1e6)
    assert size["stages"]["10_prepare"]["mb"] == pytest.approx(total / 1e6)
    training = size["training"]
    order = [training[f"{at}_mib"] for at in ("libraries", "opened", "before", "peak")]
    assert order == sorted(order)
    assert training["peak_mib"] > training["before_mib"] + 3 * training["weights_mib"]
    assert "| a batch's activations and work space | " in captured.err
    assert str(folder) in captured.err.splitlines()[-1]
    reports = folder.glob("submissions/generated/research-*/report.html")
    assert [report.stat().st_size > 10_000 for report in reports] == [True] * (last == "90_score")


def test_its_stages_are_those_of_a_run_without_prefixes_and_trials():
    assert [*graph.stages(load_config.load("sample", [])), "90_score"] == stages.STAGES


@pytest.mark.parametrize(
    ("varied", "options"),
    [
        ("rows", ["--rows", "1600,400,800"]),
        ("items", ["--rows", "400", "--items", "1600,400,800"]),
        ("history", ["--rows", "400", "--history", "16,4,8"]),
    ],
)
def test_several_sizes_have_slopes(varied, options, tmp_path, capsys, monkeypatch):
    def stage(name, s):
        n = {"rows": s.data.users, "items": s.data.items // 4, "history": s.data.history * 25}[
            varied
        ]
        return {"seconds": 3.0 * n, "cpu_seconds": n**0.5, "peak_mib": 7.0, "mb": 1.0 * n**2}

    monkeypatch.setattr(stages, "run_stage", stage)
    monkeypatch.setattr(stages, "store_size", lambda s: (1.0, 2.0))
    options += ["--steps", "0", "--last", "30_features"]
    assert stages.main([*options, "--out", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    unit = 1 if varied == "history" else 100
    assert [size[varied] for size in results["sizes"]] == [4 * unit, 8 * unit, 16 * unit]
    upto = ["00_data", "10_prepare", "15_probe", "20_folds", "30_features"]
    assert list(results["slopes"]) == upto
    for by_figure in results["slopes"].values():
        assert list(by_figure) == list(stages.FIGURES)
        assert list(by_figure.values()) == pytest.approx([1, 0.5, 0, 2], abs=1e-9)
    lines = captured.err.splitlines()
    assert lines.count("| 00_data | 300.0 | 10.0 | 7.0 | 10,000.0 |") == 1
    assert lines[-1].startswith("| 30_features | 1.00 | 0.50 | ")
    assert any(line.startswith(f"| slope against the {varied} | ") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_train_valid_and_test_have_the_challenge_s_proportions(tmp_path):
    s = load_config.load(str(stages.write_profile(tmp_path, stages.Size(3_600_000, 300, 3.2))), [])
    users = (s.data.users, s.data.valid_users, s.data.test_users)
    expected = [PUBLISHED_ROWS[name] / 4 for name in ("train", "valid", "test")]
    assert users == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "802"], "--rows 802: expected multiples of 4 rows"),
        (["--rows", "800,x"], "--rows 800,x: expected whole numbers of at least 200"),
        (["--steps", "-1"], "--steps -1: expected"),
        (["--items", "300,x"], "--items 300,x: expected whole numbers of at least 200"),
        (["--rows", "400,800", "--items", "300,400"], "expected several values of one"),
        (["--history", "3,x"], "--history: got 'x', expected numbers up to 100"),
        (["--items", "100"], "--items 100: expected whole numbers of at least 200"),
        (["--last", "30"], "--last 30: expected one of 00_data, 10_prepare, 15_probe, 20_folds"),
        (["--model", "qinn"], "did you mean 'qin'?"),
    ],
)
def test_bad_options_are_refused_and_leave_nothing(options, message, tmp_path, capsys):
    assert stages.main([*options, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_nothing_when_a_stage_fails(tmp_path, capsys, monkeypatch):
    def stage(name, s):
        if name == "20_folds":
            raise InputError("no space")
        return {"seconds": 1.0}

    monkeypatch.setattr(stages, "run_stage", stage)
    assert stages.main(["--out", str(tmp_path)]) == 2
    assert "| 15_probe | 1.0 |" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_fails_says_why(tmp_path):
    s = load_config.load(str(stages.write_profile(tmp_path, stages.Size(800, 300, 3.2))), [])
    with pytest.raises(InputError, match=r"^20_folds: .* it is written by: python -m pipeline\."):
        stages.run_stage("20_folds", s)
