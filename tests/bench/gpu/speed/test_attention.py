"""Attention alone, at toy size on a CPU."""

import torch

from bench.gpu.scale import TOY_SCALE
from bench.gpu.speed import attention


def test_a_cpu_measures_ragged_attention_alone():
    (row,) = attention.attention(TOY_SCALE)
    assert row["ok"] is True
    assert row["factor"] == 1
    assert 0 < row["distance"] < 1e-6
    assert 0 < row["forward, ms"] < row["forward and backward, ms"]


def test_wrong_gradients_are_not_ok(monkeypatch):
    right = attention.unfused
    forms = {"wrong": lambda q, x, h: right(q, x.detach() + 0 * x, h)}
    monkeypatch.setattr(attention, "forms", lambda _: forms)
    (row,) = attention.attention(TOY_SCALE)
    assert row["ok"] is False


def test_random_results_are_not_ok(monkeypatch):
    def noisy(query, items, h):
        return attention.unfused(query * (1 + 1e-6 * torch.rand_like(query)), items, h)

    monkeypatch.setattr(attention, "forms", lambda _: {"noisy": noisy})
    (row,) = attention.attention(TOY_SCALE)
    assert row["distance"] < attention.NEAR
    assert row["same bits"] is row["ok"] is False


def test_a_gradient_that_is_not_finite_is_not_ok(monkeypatch):
    def wrong(query, items, h):
        if query.requires_grad:
            query.register_hook(lambda grad: grad * torch.nan)
        return attention.unfused(query, items, h)

    monkeypatch.setattr(attention, "forms", lambda _: {"wrong": wrong})
    (row,) = attention.attention(TOY_SCALE)
    assert row["ok"] is False
    assert row["distance"] != row["distance"]
