"""90_score --export and --latency."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import torch

from features.settings import PrepareSettings
from models.serving.request import Request
from pipeline.inference import example, latency
from pipeline.inference.export import Exported
from tests.helpers.scoring import (
    RICH,
    assert_close,
    directly,
    make_fit,
    make_store,
    ours,
    replaced,
    rich_network,
    run,
    scores_of,
)


def exported_scores(folder: Path) -> np.ndarray:
    """Probabilities of test.parquet's rows from the export in `serving`, one request per row."""
    exported, rows = Exported(folder / "serving"), pl.read_parquet(folder / "test.parquet")
    columns = ("item_seq", "item_id", "likes_level", "views_level")
    logits = []
    for history, *row, user in rows.select(*columns, "user_id").iter_rows():
        request = Request(torch.tensor(history), *torch.tensor(row)[:, None], user=user)
        logits.append(exported.score(request))
    return torch.cat(logits).double().sigmoid().numpy()


def test_a_published_checkpoint_is_exported(capsys, folder, qin):
    arguments, network = replaced(qin[0], rows=None), qin[1]
    code, output, _ = run(capsys, *arguments, "--export", folder / "serving")
    assert code == 0
    assert f"try it: python {folder}/serving/example.py\n" in output
    assert re.search(rf"90_score -> {folder}/serving difference=\d\.\de-\d\d \(", output)
    np.testing.assert_allclose(
        exported_scores(folder), directly(network, folder / "test.parquet"), rtol=0, atol=1e-5
    )
    example.score(folder / "serving", folder / "test.parquet", folder / "p.csv", cut=True)
    want = np.array(scores_of(capsys, folder, qin[0]))
    assert_close(pl.read_csv(folder / "p.csv")["probability"], want)
    code, _, error = run(capsys, *arguments, "--export", folder / "serving")
    assert code == 2
    assert "serving is there already; remove it, or name another" in error


def test_a_fit_of_ours_is_exported_from_its_store(capsys, folder):
    store = make_store(folder, PrepareSettings(codes=2, codebook=4))
    network = rich_network(store, n_users=400)
    arguments = replaced(ours(folder, make_fit(store, network, RICH), store), rows=None)
    assert run(capsys, *arguments, "--export", folder / "serving")[0] == 0
    described = json.loads((folder / "serving" / "serving.json").read_text())
    assert described["fit"]["name"].startswith("some-")
    assert described["fit"]["scores"]["of"] == "official valid, which chose the epoch"
    np.testing.assert_allclose(
        exported_scores(folder), directly(network, folder / "test.parquet"), rtol=0, atol=1e-5
    )


def test_latency_of_a_checkpoint_is_a_table(capsys, folder, qin, monkeypatch):
    monkeypatch.setattr(latency, "REQUESTS", latency.TIMED)
    monkeypatch.setattr(latency, "CANDIDATES", (1, 3))
    monkeypatch.setattr(latency, "has_bf16", lambda device: False)
    arguments = replaced(qin[0], rows=None, history=2)
    code, output, _ = run(capsys, *arguments, "--latency")
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "90_score one CPU thread, random requests"
    assert lines[1] == latency.HEAD
    want = [f"| {qin[0][1]} | {n} | 2 | {scorer} |" for n in (1, 3) for scorer in SCORERS]
    assert [line[: len(start)] for line, start in zip(lines[3:9], want, strict=True)] == want
    assert lines[9].startswith("90_score --latency (")


SCORERS = ("network", "fused", "exported")
