"""bench.slates on small fits."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from bench import slates
from models.settings import FitSettings, NetworkSettings

SLATE = np.array([0, 1, 0, 2, 1, 0, 3, 3])
LOGIT = np.array([0.5, -1.0, 2.0, 0.0, 3.0, 0.5, -40.0, 40.0])


def test_a_score_within_a_slate_is_the_log_odds_of_its_softmax():
    score = slates.SOFTMAX.log_odds(LOGIT, SLATE)
    for i in (0, 1, 2, 4, 5):
        others = [j for j in range(8) if SLATE[j] == SLATE[i] and j != i]
        share = math.exp(LOGIT[i]) / sum(math.exp(LOGIT[j]) for j in (i, *others))
        assert score[i] == pytest.approx(math.log(share / (1 - share)))
    assert score[3] > 600  # alone
    assert score[6:] == pytest.approx([-80, 80])  # neither share is 0 or 1


@pytest.fixture
def fits(tmp_path, monkeypatch) -> list[Path]:
    """Two seeds each of two losses and a fit of DIN, on eight rows in two slates."""
    valid = SimpleNamespace(
        user=np.arange(8) // 4, history=np.zeros(8, int), label=np.array([1, 0, 0, 0] * 2)
    )
    monkeypatch.setattr(slates, "open_store", lambda folder: SimpleNamespace(valid=valid))
    perfect = np.array([1.0, 0, 0, 0, 9, 8, 8, 8])  # within slates; not row by row
    folders = []
    for name, loss, seed in (
        *(("qin", loss, seed) for loss in ("bce", "listwise") for seed in (0, 1)),
        ("din", "bce", 0),
    ):
        folder = tmp_path / f"{name}-seed{seed}-official-{loss}"
        folder.mkdir()
        network = NetworkSettings(interest="asta", interaction="qnn", fit=FitSettings(loss=loss))
        settings = {"network": asdict(network), "seed": seed, "fold": -1}
        (folder / "artifact.json").write_text(json.dumps({"settings": settings}))
        logit = perfect if loss == "listwise" else np.zeros(8)
        pl.DataFrame({"row_id": range(8), "logit": logit}).write_parquet(folder / "valid.parquet")
        folders.append(folder)
    return folders


def test_seeds_share_a_row_and_are_compared_with_the_first_row_of_their_network(fits, capsys):
    assert slates.main(["store", *map(str, fits)]) == 0
    first, second, other = capsys.readouterr().out.splitlines()[2:]
    half = "0.50000 ± 0.00000"
    assert first == f"| qin fit.loss=bce | 0, 1 | {half} | {half} | +0.00000 ± 0.00000 | - |"
    assert second.startswith("| qin fit.listwise_share=0.5 fit.loss=listwise | 0, 1 | 0.75000 ± ")
    assert "| 1.00000 ± 0.00000 | +0.25000 ± 0.00000 | +0.50000, " in second
    assert second.endswith("(users and 2 paired seeds) |")
    assert other == "| din | 0 | 0.50000 | 0.50000 | +0.00000 | - |"


def test_a_difference_without_a_seed_of_both_is_left_out(fits, capsys):
    assert slates.main(["store", str(fits[0]), str(fits[3])]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("| no seed of both |")


def test_other_folders_and_other_rows_are_refused(fits, capsys):
    assert slates.main(["store", str(fits[0].parent)]) == 2
    assert "is no folder of 50_train: expected artifact.json and" in capsys.readouterr().err
    path = fits[0] / "valid.parquet"
    pl.read_parquet(path).head(7).write_parquet(path)
    assert slates.main(["store", str(fits[0])]) == 2
    assert "holds 7 rows; expected the 8 of STORE's valid" in capsys.readouterr().err
