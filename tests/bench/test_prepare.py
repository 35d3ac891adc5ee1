"""bench.prepare at tiny sizes."""

import json

import pytest

from bench import prepare
from features.errors import InputError
from pipeline.config import load as load_config

PUBLISHED = load_config.load("microlens_1m", ["models=qin,din"]).networks


def test_it_runs_the_stages_and_training_steps(tmp_path, capsys):
    options = ["--rows", "800", "--items", "200", "--steps", "1", "--out", str(tmp_path)]
    assert prepare.main([*options, "--model", "din", "--json", "--keep"]) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert list(results["stages"]) == ["00_data", "10_prepare", "20_folds", "30_features"]
    for stage in results["stages"].values():
        assert 0 < stage["seconds"] < stage["process_seconds"]
        assert stage["cpu_seconds"] > 0
        assert 50 < stage["peak_mib"] < 2000
    (folder,) = tmp_path.iterdir()
    s = load_config.load(str(folder / "generated.toml"), [])
    assert (s.networks["din"], s.data.users, s.data.items) == (PUBLISHED["din"], 200, 200)
    (store,) = folder.glob("generated/10_prepare/store-*")
    items = sum(path.stat().st_size for path in store.glob("items/*"))
    total = sum(p.stat().st_size for p in store.rglob("*") if p.is_file() and p.stem != "artifact")
    assert results["store"]["items_mb"] == pytest.approx(items / 1e6)
    assert results["store"]["rows_mb"] == pytest.approx((total - items) / 1e6)
    training = results["training"]
    order = [training[f"{at}_mib"] for at in ("libraries", "opened", "before", "peak")]
    assert order == sorted(order)
    assert training["peak_mib"] > training["before_mib"] + 3 * training["weights_mib"]
    assert "| a batch's activations and work space | " in captured.err
    assert str(folder) in captured.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "802"], "--rows 802 --steps 2: expected a multiple of 4 rows, at least 200"),
        (["--items", "100"], "data.items = 100 must be a whole number in [200, 10^7]"),
        (["--model", "qinn"], "did you mean 'qin'?"),
    ],
)
def test_bad_options_are_refused_and_leave_nothing(options, message, tmp_path, capsys):
    assert prepare.main([*options, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_nothing_when_a_stage_fails(tmp_path, capsys, monkeypatch):
    def stage(name, profile, s):
        assert profile.exists()
        if name == "20_folds":
            raise InputError("no space")
        return {"seconds": 1.0}

    monkeypatch.setattr(prepare, "run_stage", stage)
    assert prepare.main(["--out", str(tmp_path)]) == 2
    assert "| 10_prepare | 1.0 |" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
