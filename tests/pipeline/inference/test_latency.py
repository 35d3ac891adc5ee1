"""Timing single requests."""

import itertools
import re

import pytest
import torch

from models.serving.network import ServingNetwork
from models.serving.request import Request
from pipeline.inference import latency
from pipeline.inference.latency import (
    COMPARED,
    PUBLISHED,
    TIMED,
    generated,
    measure,
    print_rows,
    row,
)
from tests.models.serving.test_serving import OPTIONS, trained

REQUEST = Request(*torch.ones(4, 3, dtype=torch.int64))


def test_scorers_take_turns_and_the_first_request_of_a_turn_is_not_timed(monkeypatch):
    monkeypatch.setattr(latency, "REQUESTS", 2 * TIMED)
    order = []

    def scorer(name: str, logit: float):
        def score(request: Request) -> torch.Tensor:
            order.append(name)
            return torch.full((3,), logit)

        return score

    timings = measure({"a": scorer("a", 0.0), "b": scorer("b", 1.0)}, itertools.repeat(REQUEST))
    turn = [*"a" * (1 + TIMED), *"b" * (1 + TIMED)]
    assert order == ["a", "b"] * COMPARED + 2 * turn
    assert [len(timings[name].seconds) for name in "ab"] == [2 * TIMED] * 2
    assert timings["a"].differences == [0.0] * COMPARED
    assert timings["b"].differences == pytest.approx([0.2310586] * COMPARED)


def test_a_slow_scorer_has_one_turn(monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0)
    timings = measure({"a": lambda request: torch.zeros(3)}, itertools.repeat(REQUEST))
    assert len(timings["a"].seconds) == TIMED


def test_a_row_has_percentiles_in_milliseconds():
    seconds = [i / 1000 for i in range(101)]
    line = row("qin", 100, 64, "fused", latency.Timings(seconds, [1e-7, 2.4e-6]))
    assert line == "| qin | 100 | 64 | fused | 50.00 | 95.00 | 99.00 | 101 | 2e-06 |"
    assert line.count("|") == latency.HEAD.count("|")


@pytest.mark.parametrize("bf16", [False, True])
def test_the_table_has_a_row_per_scorer_and_number_of_candidates(capsys, monkeypatch, bf16):
    monkeypatch.setattr(latency, "REQUESTS", TIMED)
    monkeypatch.setattr(latency, "has_bf16", lambda device: bf16)
    monkeypatch.setattr(latency.export, "ServingNetwork", exactly)
    threads = torch.get_num_threads()
    print_rows("small", trained(OPTIONS["all inputs"], torch.float32), OPTIONS["all inputs"], None)
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split(" | ")[:4] for line in lines]
    scorers = ("network", "fused", "exported", *["fused, bf16"] * bf16)
    want = itertools.product(("1", "100", "1000"), scorers)
    assert starts == [["| small", n, "4", scorer] for n, scorer in want]
    differences = [float(line.split("|")[-2]) for line in lines]
    assert max(differences) < 1e-5
    assert max(differences) > 0
    assert all(re.fullmatch(r"(\| [\w.+, -]+ )+\|", line) for line in lines)
    assert torch.get_num_threads() == threads


def exactly(*given, rounded: bool = False) -> ServingNetwork:
    """Without rounding, which not every CPU can."""
    return ServingNetwork(*given)


@pytest.mark.parametrize(("name", "width"), [*zip(PUBLISHED, (384, 256, 256, 8704), strict=True)])
def test_generated_networks_have_the_published_widths(monkeypatch, name, width):
    monkeypatch.setattr(latency, "ITEMS", 50)
    monkeypatch.setattr(latency, "TAGS", 9)
    network, s = generated(name)
    assert network.item.id.num_embeddings == 50
    assert network.interest.width == width
    logits = latency.export.unfused(network, REQUEST, 50, s.max_len)
    assert logits.isfinite().all()
