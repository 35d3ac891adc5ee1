"""bench.optimiser at tiny sizes."""

import re

import pytest
import torch

from bench import optimiser
from models.training.large_tables import LargeTables

TINY = ["--data-set", "frappe_x1", "--models", "lr,fm", "--numbers", "1e3,4e3", "--steps", "1"]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_tables_have_times_factors_steps_at_once_and_operators(capsys, monkeypatch):
    monkeypatch.setattr(optimiser, "BLOCK", 300)
    monkeypatch.setattr(optimiser, "BATCHES", 2)
    monkeypatch.setattr(optimiser, "OPERATORS", 1000)
    assert optimiser.main([*TINY, "--clock", "cpu"]) == 0
    out = capsys.readouterr().out
    first, second, third = re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE)
    assert [line.split()[1] for line in first.splitlines()[2:]] == ["lr", "lr", "fm", "fm"]
    assert [line.split()[1] for line in second.splitlines()[2:]] == ["1,000", "4,000"]
    dense, ours = re.search(r"aten::embedding_dense_backward \| (\S+) \| (\S+)", third).groups()
    assert float(dense) > 0 == float(ours)


def test_updates_that_differ_are_named(capsys, monkeypatch):
    monkeypatch.setattr(LargeTables, "update", lambda *_: None)
    assert optimiser.main(TINY) == 2
    assert "the two updates gave different weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--steps", "0"], "--steps = 0 must be at least 1"),
        (["--threads", "-1"], "--threads = -1 must be at least 1"),
        (["--numbers", "2e6,many"], "--numbers 2e6,many: expected numbers"),
        (["--numbers", "10"], "--numbers 10: expected numbers"),
        (["--data-set", "frape_x1"], "'frape_x1', did you mean 'frappe_x1'?"),
        (["--models", "dcm"], "'dcm', did you mean 'dcn'?"),
    ],
)
def test_what_cannot_be_measured_is_refused(typed, message, capsys):
    assert optimiser.main([*TINY, *typed]) == 2
    assert message in capsys.readouterr().err


def test_vocabularies_keep_their_proportions_and_values_their_order():
    sizes = optimiser.scaled((1000, 100, 4), 552)
    assert sizes == [500, 50, 3]
    torch.manual_seed(0)
    batches = list(optimiser.generated(sizes, 2, 4000))
    assert len(batches) == optimiser.BATCHES
    rows, label = batches[0]
    assert rows.numbers.shape == (4000, 2)
    assert set(label.tolist()) == {0, 1}
    counts = [torch.bincount(rows.columns[:, f], minlength=n) for f, n in enumerate(sizes)]
    assert [len(count) for count in counts] == sizes
    assert counts[0][0] == 0
    assert counts[0][-1] == 0
    assert counts[0][1] / counts[0][2] == pytest.approx(1.71, rel=0.1)  # log 2 / log 1.5
