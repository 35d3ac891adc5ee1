"""Interests against their equations as loops."""

import math

import pytest
import torch

from models.layers import ragged
from models.layers.din_attention import DinAttention
from models.layers.mean_pooling import MeanPooling
from models.layers.sparse_target_attention import SparseTargetAttention
from tests.helpers.networks.small import history

D, U, LENGTHS = 6, 9, (0, 1, 4, 3)
close = torch.testing.assert_close


@pytest.fixture
def case():
    torch.manual_seed(1)
    target = torch.randn(len(LENGTHS), D, dtype=torch.float64)
    items = torch.randn(U, D, dtype=torch.float64)
    return target, items, history(LENGTHS, U)


def entries(items, h, b):
    return [items[p] for p in h.position[h.offsets[b] : h.offsets[b + 1]]]


WEIGHTS = {
    "relu": lambda score: score.clamp(min=0),
    "relu2": lambda score: score.clamp(min=0) ** 2,
    "silu": lambda score: score / (1 + (-score).exp()),
    "softmax": lambda score: score.exp() / score.exp().sum(),
    "sigmoid": lambda score: 1 / (1 + (-score).exp()),
    "relu_offset": lambda score: (score + 0.3).clamp(min=0),
}
AGES = torch.tensor([0.5, -0.25, 1.0, -2.0], dtype=torch.float64)  # newest first


def asta(weights, positions=0):
    """A layer whose learned numbers are those of WEIGHTS and AGES."""
    layer = SparseTargetAttention(D, 10, weights, positions=positions).double()
    with torch.no_grad():
        if layer.offset is not None:
            layer.offset.fill_(0.3)
        if layer.position is not None:
            layer.position.copy_(AGES[:positions])
    return layer


@pytest.mark.parametrize("positions", [0, 4])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_sparse_target_attention_matches_the_equation_written_as_loops(case, weights, positions):
    target, items, h = case
    layer = asta(weights, positions)
    want = target.clone()
    for b in range(1, len(target)):  # row 0 has no history
        history_items = entries(items, h, b)
        scores = [layer.query(target[b]) @ layer.key(s) / math.sqrt(10) for s in history_items]
        if positions:
            scores = [score + AGES[len(scores) - 1 - i] for i, score in enumerate(scores)]
        total = torch.zeros(10, dtype=torch.float64)
        for weight, s in zip(WEIGHTS[weights](torch.stack(scores)), history_items, strict=True):
            total = total + weight * layer.value(s)
        want[b] = target[b] + layer.out(total)
    close(layer(target, items, h), want, rtol=0, atol=1e-12)


def test_learned_numbers_of_attention_are_zero_at_the_start(case):
    outputs = []
    for weights, positions in (("relu", 0), ("relu", 4), ("relu_offset", 0)):
        torch.manual_seed(0)
        outputs.append(SparseTargetAttention(D, 10, weights, 0.0, positions).double()(*case))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_attention_dropout_drops_whole_entries_and_keeps_the_expectation(case):
    target, items, h = case
    torch.manual_seed(0)
    layer = SparseTargetAttention(D, 10, "silu", dropout=0.5).double()
    many = torch.stack([layer(target, items, h) for _ in range(4000)])
    assert (many[:, 2:].std(0) > 0.01).all()
    close(many.mean(0), layer.eval()(target, items, h), rtol=0, atol=0.1)
    single = many[:, 1] - target[1]  # one entry: doubled, or gone
    close(single.abs().amax(0), 2 * (layer(target, items, h) - target)[1].abs())


def test_an_empty_history_returns_the_target_itself(case):
    target, items, h = case
    assert torch.equal(SparseTargetAttention(D, 10).double()(target, items, h)[0], target[0])


@pytest.mark.parametrize("softmax", [False, True])
def test_din_attention_matches_the_equation_written_as_loops(case, softmax):
    target, items, h = case
    layer = DinAttention(D, (5, 3), dropout=0.0, softmax=softmax).double()
    want = torch.zeros_like(target)
    for b in range(len(target)):
        t, history_items = target[b], entries(items, h, b)
        weights = [layer.rest(layer.first(torch.cat((t, s, t - s, t * s)))) for s in history_items]
        if softmax and history_items:
            weights = torch.softmax(torch.stack(weights), dim=0)
        if softmax and not history_items:  # the padding item, alone
            want[b] = items[0]
        for w, s in zip(weights, history_items, strict=True):
            want[b] += w * s
    close(layer(target, items, h), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        *(asta(weights) for weights in WEIGHTS),
        asta("sigmoid", 4),
        DinAttention(D, (5, 3), 0.0, False),
        DinAttention(D, (5, 3), 0.0, True),
    ],
    ids=[*WEIGHTS, "position", "din", "din softmax"],
)
def test_rewrites_have_the_gradients_of_the_published_formula(case, layer):
    target, items, h = case
    layer = layer.double()
    grads = []
    for formula in (layer.forward, layer.reference):
        leaves = [target.clone().requires_grad_(), items.clone().requires_grad_()]
        out = formula(*leaves, h)
        seen = [*leaves, *layer.parameters()]
        grads.append(torch.autograd.grad((out * out.detach().cos()).sum(), seen))
    for ours, published in zip(*grads, strict=True):
        close(ours, published, rtol=1e-11, atol=1e-11)


def test_mean_pooling_is_the_mean_and_zero_for_an_empty_history(case):
    target, items, h = case
    pooled = MeanPooling(D)(target, items, h)
    assert torch.equal(pooled[0], torch.zeros(D, dtype=torch.float64))
    for b in range(1, len(target)):
        close(pooled[b], torch.stack(entries(items, h, b)).mean(0))


PLAIN = {  # (x of rows or entries, items, history)
    "dot": lambda x, items, h: (x[h.row] * items[h.position]).sum(1),
    "pool": lambda w, items, h: torch.zeros(len(h.offsets) - 1, D, dtype=torch.float64).index_add(
        0, h.row, w[:, None] * items[h.position]
    ),
    "of_rows": lambda x, items, h: x[h.row] + 0 * items.sum(),
    "of_items": lambda x, items, h: items[h.position] + 0 * x.sum(),
}
OURS = {
    "dot": ragged.dot,
    "pool": ragged.pool,
    "of_rows": lambda x, items, h: ragged.of_rows(x, h) + 0 * items.sum(),
    "of_items": lambda x, items, h: ragged.of_items(items, h) + 0 * x.sum(),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("lengths", [LENGTHS, (0, 0), (2, 3, 0)])
def test_ragged_products_and_their_gradients_are_the_plain_ones(name, lengths):
    h, results = history(lengths, U), []
    for formula in (PLAIN[name], OURS[name]):
        torch.manual_seed(3)
        n = len(h.row) if name == "pool" else len(lengths)
        shapes = (n,) if name == "pool" else (n, D), (U, D)
        leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
        out = formula(*leaves, h)
        results.append([out, *torch.autograd.grad((out * out.detach().cos()).sum(), leaves)])
    for ours, plain in zip(*results, strict=True):
        close(ours, plain, rtol=1e-13, atol=1e-13)


def test_softmax_weighs_to_one_in_every_row_and_survives_large_scores(case):
    _, _, h = case
    score = torch.linspace(-2000, 2000, len(h.row), dtype=torch.float64)
    total = torch.zeros(len(LENGTHS), dtype=torch.float64)
    total.index_add_(0, h.row, ragged.softmax(score, h))
    close(total, torch.tensor([0.0, 1, 1, 1], dtype=torch.float64))


def test_the_order_of_history_entries_does_not_matter_but_their_content_does(case):
    target, items, h = case
    layer = SparseTargetAttention(D, 10).double()
    backwards = h.position.clone()
    backwards[1:5] = h.position[1:5].flip(0)  # row 2 alone
    turned = ragged.History(backwards, h.row, h.offsets)
    close(layer(target, items, turned), layer(target, items, h))
    other = h.position.clone()
    other[1] = (other[1] + 1) % U
    changed = DinAttention(D, (5, 3), 0.0, False).double()
    before, after = (
        changed(target, items, h),
        changed(target, items, ragged.History(other, h.row, h.offsets)),
    )
    assert not torch.allclose(before[2], after[2])
    assert torch.equal(before[3], after[3])


def test_the_gradients_of_a_batch_sort_its_entries_once(case, monkeypatch):
    target, items, h = case
    sort, lengths = torch.Tensor.sort, []

    def spy(self, *args, **kwargs):
        lengths.append(len(self))
        return sort(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "sort", spy)
    items.requires_grad_()
    pooled = ragged.pool(ragged.dot(target, items, h), items, h)
    (pooled.sum() + ragged.of_items(items, h).sum()).backward()
    assert lengths == [sum(LENGTHS)]
