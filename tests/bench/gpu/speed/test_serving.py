"""Latency of single requests: the figures of a row, and that all ways score alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.gpu.scale import TOY_SCALE
from bench.gpu.speed import serving

TINY = replace(TOY_SCALE, items=60)


def test_every_network_is_timed_for_every_number_of_candidates(monkeypatch):
    monkeypatch.setattr(serving, "REQUESTS", 6)
    rows = list(serving.serving(TINY))
    assert [(row["network"], row["candidates"]) for row in rows] == [
        (name, n) for name in ("qin", "din", "final") for n in serving.TOY_CANDIDATES
    ]
    assert len({tuple(row) for row in rows}) == 1
    for row in rows:
        assert row["ok"]
        assert 2 <= row["fused, requests"] <= 6
        assert row["fused, median"] > 0
        assert row["fused, p99"] is None


def test_scores_that_differ_are_no_success():
    request = serving.draw(np.random.default_rng(0), 60, 3, 4)
    scorers = {"network": lambda request: torch.zeros(3), "CPU": lambda request: torch.ones(3)}
    row = serving.measure(scorers, [request] * 10, TINY)
    assert row["difference"] == pytest.approx(torch.ones(()).sigmoid() - 0.5)
    assert not row["ok"]
    scorers["CPU"] = lambda request: torch.tensor([0, torch.nan, 0])
    assert not serving.measure(scorers, [request] * 10, TINY)["ok"]


def test_the_cpu_is_not_asked_for_many_candidates(monkeypatch):
    monkeypatch.setattr(serving, "CPU_CANDIDATES", 2)
    request = serving.draw(np.random.default_rng(0), 60, 3, 4)
    scorers = {"network": lambda request: torch.zeros(3), "CPU": lambda request: torch.ones(3)}
    row = serving.measure(scorers, [request] * 10, TINY)
    assert row["CPU, median"] is row["CPU, requests"] is None
    assert row["ok"]
    monkeypatch.undo()
    assert list(row) == list(serving.measure(scorers, [request] * 10, TINY))


def test_ids_and_levels_reach_the_scores():
    cfg = TINY.settings("qin")
    network = serving.spread(TINY.network(cfg)).eval()
    request = serving.draw(np.random.default_rng(0), 60, 50, 9)
    for changed in (
        replace(request, likes=request.likes % 10 + 1),
        replace(request, views=request.views % 10 + 1),
    ):
        before, after = (
            serving.network_scores(network, r, TINY, cfg.max_len) for r in (request, changed)
        )
        assert (after - before).abs().max() > 0.01
    assert network.likes.weight[0].abs().sum() == 0


def test_requests_are_timed_until_the_time_is_up():
    sent = []

    def score(request):
        sent.append(request)
        return request

    first, seconds = serving.time_requests(score, list(range(10)), 0.0)
    assert (first, sent) == (0, [0, *range(serving.LEAST)])
    assert len(seconds) == serving.LEAST
    sent.clear()
    first, seconds = serving.time_requests(score, list(range(10)), 60)
    assert sent[: serving.WARM_UP] == list(range(serving.WARM_UP))
    assert len(seconds) == len(sent) - serving.WARM_UP == serving.REQUESTS
