"""Worlds of coin flips, and the table about them."""

import polars as pl

from bench.worlds import null
from cv.auc import auc
from features.settings import SampleSettings
from features.sources import sample


def test_labels_are_coin_flips_and_rows_stay(tmp_path):
    null.write(tmp_path / "world0", 0)
    sample.write(SampleSettings(**null.SIZES, seed=0), tmp_path / "sample")
    for name in ("train", "valid"):
        flips, drawn = (
            pl.read_parquet(tmp_path / folder / "challenge" / f"{name}.parquet")
            for folder in ("world0", "sample")
        )
        assert flips.drop("label").equals(drawn.drop("label"))
        assert flips["label"].dtype == drawn["label"].dtype
        assert abs(flips["label"].mean() - drawn["label"].mean()) < 0.05
        assert abs(auc(drawn["label"].to_numpy(), flips["label"].to_numpy()) - 0.5) < 0.05
    assert not (tmp_path / "world0.part").exists()


def test_a_run_of_each_world_ends_in_a_table(tmp_path, capsys):
    tiny = ["models=din", "folds.n=2", "network.fit.max_epochs=1", "network.embedding_dim=4"]
    tiny += ["din.fit.prefixes=1"]
    assert null.main([*tiny, "--worlds=2", "--stop-users=0.2", f"--out={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert "folds.stop_users=0.2" in table[0]
    cells = [cell.strip() for cell in table[2].strip("|").split("|")]
    assert cells[0] == "din"
    assert 0.3 < float(cells[1].split(" ± ")[0]) < 0.7


def test_errors_are_counted_from_a_half():
    worlds = [{"din": 0.51, "lightgbm": 0.48}, {"din": 0.53, "lightgbm": 0.52}]
    lines = null.markdown({"0": worlds, "0.1": worlds[::-1]})
    assert lines[0].count("folds.stop_users=") == 2
    assert lines[2] == "| din | 0.5200 ± 0.0100 | +2.0 | 0.5200 ± 0.0100 | +2.0 |"
    assert lines[3] == "| lightgbm | 0.5000 ± 0.0200 | +0.0 | 0.5000 ± 0.0200 | +0.0 |"
