"""Dropout that draws the gaps between dropped elements."""

import pytest
import torch
from torch import nn

from models.layers import dropout
from models.layers.dropout import Dropout, dropped

TIMES = 4000  # of 50 elements each, so that a share is known to within 0.04 (five deviations)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5])
def test_every_element_is_dropped_with_probability_p(p):
    torch.manual_seed(0)
    hits = torch.zeros(TIMES, 50)
    for row in hits:
        row[dropped(50, p)] = 1
    deviation = (p * (1 - p) / TIMES) ** 0.5
    assert (hits.mean(0) - p).abs().max() < 5 * deviation
    assert (hits.mean() - p).abs() < 5 * deviation / 50**0.5


def test_elements_are_dropped_independently_of_their_neighbours():
    torch.manual_seed(0)
    hits = torch.zeros(TIMES, 50)
    for row in hits:
        row[dropped(50, 0.3)] = 1
    correlation = torch.corrcoef(hits.T) - torch.eye(50)
    assert correlation.abs().max() < 5 / TIMES**0.5


def test_the_gaps_are_geometric():
    torch.manual_seed(0)
    position, p = dropped(2_000_000, 0.1), 0.1
    gaps = position.diff() - 1
    k = torch.arange(30)
    want = (1 - p) ** k * p
    share = torch.bincount(gaps, minlength=30)[:30] / len(gaps)
    assert ((share - want).abs() < 5 * (want / len(gaps)).sqrt()).all()


def test_positions_ascend_and_lie_within_the_tensor():
    torch.manual_seed(0)
    for n in (1, 2, 17, 4096):
        for _ in range(200):
            position = dropped(n, 0.5)
            assert (position.diff() > 0).all()
            assert ((position >= 0) & (position < n)).all()


def test_more_gaps_are_drawn_where_the_first_ones_are_too_few(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(dropout.math, "ceil", lambda x: 10)  # 11 gaps at a time
    position = dropped(10_000, 0.1)
    assert (position.diff() > 0).all()
    assert abs(len(position) - 1000) < 5 * 30


def test_what_is_kept_is_scaled_and_the_gradient_falls_on_it_alone():
    torch.manual_seed(0)
    layer, x = Dropout(0.25).train(), torch.randn(300, 40).T.requires_grad_()
    y = layer(x)
    kept = y != 0
    torch.testing.assert_close(y, torch.where(kept, x / 0.75, 0))
    grad = torch.randn_like(y)
    (to_x,) = torch.autograd.grad(y, x, grad)
    torch.testing.assert_close(to_x, torch.where(kept, grad / 0.75, 0))
    assert abs(kept.double().mean() - 0.75) < 0.02


def test_the_same_seed_drops_the_same_elements():
    x, layer = torch.ones(1000), Dropout(0.1).train()
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)


@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
def test_other_probabilities_are_torchs_own(p):
    x = torch.randn(50, 20)
    torch.manual_seed(3)
    got = Dropout(p).train()(x)
    torch.manual_seed(3)
    assert torch.equal(got, nn.Dropout(p).train()(x))


def test_outside_of_training_and_without_elements_nothing_is_dropped():
    x = torch.randn(50, 20)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert Dropout(0.3).train()(x[:0]).shape == (0, 20)
