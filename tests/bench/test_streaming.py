"""bench.streaming at a tiny size."""

import re

import numpy as np
import pytest
import torch

from bench import streaming
from bench.tools import challenge_like
from pipeline.config import load as load_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """1,000 rows, drawn 256 at a time."""
    monkeypatch.setattr(streaming, "CHUNK", 256)
    streaming.write(tmp_path, 1000, n_items=30, columns=True)
    return tmp_path


def test_the_chunks_on_disk_form_one_split(folder):
    split = streaming.map_arrays(folder)
    assert split.user.tolist() == (np.arange(1000) // 4).tolist() == split.history.tolist()
    assert len(split.offsets) == 251
    assert split.offsets[-1] == len(split.values)
    rows, label = challenge_like.rows(232, max_len=64, n_items=30, seed=3)  # the last chunk
    assert split.item[768:].tolist() == rows.item.tolist()
    assert split.label[768:].tolist() == label.tolist()
    assert split.codes.shape == (1000, streaming.N_CODES)
    start = split.offsets[192]
    assert split.values[start:].tolist() == rows.values.tolist()
    assert (split.offsets[192:] - start).tolist() == [0, *rows.end.tolist()]


@pytest.mark.parametrize("home", ["stream", "host"])
@pytest.mark.parametrize("columns", ["true", "false"])
def test_measure_returns_the_cells_of_a_line(folder, home, columns, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(streaming, "N_HELD", 100)
    overrides = [*streaming.OVERRIDES, "din.fit.batch_size=64", "train.memory=3"]
    overrides.append(f"din.columns={columns}")
    s = load_config.load("sample", overrides)
    figures = streaming.measure(s, folder, home, 30, "wall")
    torch.set_num_threads(threads)
    assert (figures["home"], figures["rows"]) == (home, 1000)
    assert len(figures) == len(streaming.HEADER)
    assert figures["train_rows_per_second"] > 0 < figures["inference_rows_per_second"]
    assert 0 < figures["libraries_mib"] <= figures["epoch_mib"] <= figures["peak_mib"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "100"], "--rows 100: expected whole numbers of at least 8192"),
        (["--homes", "cloud"], "stream, host or both"),
        (["train.memory=20", "din.columns=true"], r"train.memory=20 .* set train.memory=\d+"),
        (["train.memory=8"], r"train.memory=8 \(MiB\) may not hold .* set train.memory=\d+"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, tmp_path, capsys):
    assert streaming.main([*arguments, "--out", str(tmp_path)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
