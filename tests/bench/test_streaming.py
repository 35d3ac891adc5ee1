"""The bench of streamed rows, at a tiny size."""

import re

import numpy as np
import pytest
import torch

from bench import challenge_like, streaming
from pipeline.config import load as load_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """1,000 rows, drawn 256 at a time."""
    monkeypatch.setattr(streaming, "CHUNK", 256)
    streaming.write(tmp_path, 1000, n_items=30)
    return tmp_path


def test_the_chunks_on_disk_are_one_split(folder):
    found = streaming.mapped(folder)
    assert found.user.tolist() == (np.arange(1000) // 4).tolist() == found.history.tolist()
    assert len(found.offsets) == 251
    assert found.offsets[-1] == len(found.values)
    rows, label = challenge_like.rows(232, max_len=64, n_items=30, seed=3)  # the last chunk
    assert found.item[768:].tolist() == rows.item.tolist()
    assert found.label[768:].tolist() == label.tolist()
    begun = found.offsets[192]
    assert found.values[begun:].tolist() == rows.values.tolist()
    assert (found.offsets[192:] - begun).tolist() == rows.offsets.tolist()


@pytest.mark.parametrize("home", ["stream", "host"])
def test_a_line_says_what_was_measured_of_what(folder, home, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(streaming, "JUDGED", 100)
    s = load_config.load("sample", [*streaming.NETWORK, "din.fit.batch_size=64", "train.memory=2"])
    found = streaming.measure(s, folder, home, 30, "wall")
    torch.set_num_threads(threads)
    assert (found["home"], found["rows"]) == (home, 1000)
    assert len(found) == len(streaming.HEAD)
    assert found["train_rows_per_second"] > 0 < found["inference_rows_per_second"]
    assert 0 < found["libraries_mib"] <= found["epoch_mib"] <= found["peak_mib"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rows", "100"], "--rows 100 .*expected numbers of at least 8192"),
        (["--homes", "cloud"], "stream, host or both"),
        (["train.memory=8"], r"train.memory=8 \(MiB\) may not hold .* set train.memory=\d+"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, said, tmp_path, capsys):
    assert streaming.main([*given, "--out", str(tmp_path)]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
