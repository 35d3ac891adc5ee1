"""Explicit parts against their equations as loops over a row's fields, gradients included."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn

from models.fields.attentional_fm import CHUNK, AttentionalPairs
from models.fields.compressed_interaction import CompressedInteraction
from models.fields.cross_network import FirstCrossNetwork, SecondCrossNetwork
from models.fields.factorization_machine import PairwiseInteraction
from models.fields.sam import SelfAttentionModel
from models.fields.self_attention import SelfAttention
from models.fields.settings import AfmSettings, AutoIntSettings, CrossV2Settings, SamSettings

F, E = 3, 4


def afm(part, row):
    pairs = [row[i] * row[j] for i, j in itertools.combinations(range(F), 2)]
    inner, h, p = part.attention, part.score.weight[0], part.out.weight[0]
    score = [h @ torch.relu(inner.weight @ pair + inner.bias) for pair in pairs]
    total = sum(torch.exp(s) for s in score)
    pooled = sum(torch.exp(s) / total * pair for s, pair in zip(score, pairs, strict=True))
    return p @ pooled


def fm(_, row):
    return sum(torch.dot(row[i], row[j]) for i, j in itertools.combinations(range(F), 2))


def cin(part, row):
    maps, pooled = list(row), []
    for linear in part.layers:
        weight = linear.weight.unflatten(1, (len(maps), F))
        pairs = list(itertools.product(range(len(maps)), range(F)))
        maps = [
            sum(w[i, j] * maps[i] * row[j] for i, j in pairs) + b
            for w, b in zip(weight, linear.bias, strict=True)
        ]
        pooled += [x.sum() for x in maps]
    return torch.stack(pooled) @ part.out.weight[0] + part.out.bias[0]


def cross(part, row):
    x0 = x = row.flatten()
    for weight, bias in zip(part.weights, part.biases, strict=True):
        x = torch.stack([x0[d] * (weight.weight[0] @ x) + bias[d] + x[d] for d in range(F * E)])
    return part.out.weight[0] @ x + (0 if part.out.bias is None else part.out.bias[0])


def cross_v2(part, row):
    x0 = x = row.flatten()
    for linear in part.cross.layers:
        mapped = [linear.weight[d] @ x + linear.bias[d] for d in range(F * E)]
        x = torch.stack([x0[d] * mapped[d] + x[d] for d in range(F * E)])
    return part.out.weight[0] @ x + part.out.bias[0]


def mixture(part, row):
    x0 = x = row.flatten()
    for layer in part.cross:
        gate = torch.exp(layer.gate.weight @ x)
        after = x
        for k in range(len(gate)):
            inner = torch.tanh(layer.core[k] @ torch.tanh(layer.down[k].T @ x))
            after = after + gate[k] / gate.sum() * x0 * (layer.up[k].T @ inner + layer.bias)
        x = after
    return part.out.weight[0] @ x + part.out.bias[0]


def autoint_by_row(part, row):
    """AutoInt whose heads take F shares each in the order of memory, whichever field's they are."""
    fields = list(row)
    for layer in part.layers:
        width = len(layer.query.weight) // layer.heads
        shares = [
            [
                f.weight[h * width : (h + 1) * width] @ field
                for f in (layer.query, layer.key, layer.value)
            ]
            for field in fields
            for h in range(layer.heads)
        ]
        pooled = []
        for at, (q, _, _) in enumerate(shares):
            first = at // F * F  # of this head
            own = shares[first : first + F]
            score = [torch.exp(q @ k) for _, k, _ in own]
            pooled.append(sum(s / sum(score) * v for s, (_, _, v) in zip(score, own, strict=True)))
        after = [torch.cat(pooled[m * layer.heads : (m + 1) * layer.heads]) for m in range(F)]
        mapped = [
            layer.residual.weight @ field if isinstance(layer.residual, nn.Linear) else field
            for field in fields
        ]
        fields = [torch.relu(e + x) for e, x in zip(after, mapped, strict=True)]
    return part.out.weight[0] @ torch.cat(fields) + part.out.bias[0]


def autoint(part, row, scaled=False):
    fields = list(row)
    for layer in part.layers:
        width = len(layer.query.weight) // layer.heads
        scale = width**-0.5 if scaled else 1
        after = []
        for m in range(F):
            heads = []
            for h in range(layer.heads):
                own = slice(h * width, (h + 1) * width)
                q, k, v = (f.weight[own] for f in (layer.query, layer.key, layer.value))
                score = [torch.exp((q @ fields[m]) @ (k @ f) * scale) for f in fields]
                heads.append(
                    sum(s / sum(score) * (v @ f) for s, f in zip(score, fields, strict=True))
                )
            e = torch.cat(heads)
            if isinstance(layer.residual, nn.Linear):
                e = e + layer.residual.weight @ fields[m]
            elif layer.residual is not None:
                e = e + fields[m]
            if isinstance(layer.norm, nn.LayerNorm):
                spread = ((e - e.mean()) ** 2).mean() + 1e-5
                e = (e - e.mean()) / spread.sqrt() * layer.norm.weight + layer.norm.bias
            after.append(torch.relu(e))
        fields = after
    return part.out.weight[0] @ torch.cat(fields) + part.out.bias[0]


def sam(part, row):
    fields = list(row)
    for layer in part.layers:
        after = []
        for i in range(F):
            out = torch.zeros(E, dtype=row.dtype)
            for j in range(F):
                out = out + (fields[i] @ layer.key.weight @ fields[j]) * layer.pairs[i, j]
            if layer.residual is not None:
                out = out + layer.residual.weight @ fields[i]
            after.append(out)
        fields = after
    if part.weight is None:
        return part.out.weight[0] @ torch.cat(fields) + part.out.bias[0]
    pooled = sum(part.weight[i] * fields[i] for i in range(F))
    return part.out.weight[0] @ pooled + part.out.bias[0]


PARTS = {
    "fm": (PairwiseInteraction, fm),
    "afm": (lambda: AttentionalPairs(F, E, AfmSettings(width=5)), afm),
    "cin": (lambda: CompressedInteraction(F, (4, 2)), cin),
    "cross": (lambda: FirstCrossNetwork(F * E, 3), cross),
    "cross, alone": (lambda: FirstCrossNetwork(F * E, 2, bias=True), cross),
    "cross_v2": (lambda: SecondCrossNetwork(F * E, CrossV2Settings(layers=2), True), cross_v2),
    "cross_v2, mixture": (
        lambda: SecondCrossNetwork(F * E, CrossV2Settings(layers=2, experts=3, rank=2), True),
        mixture,
    ),
    "autoint": (
        lambda: SelfAttention(F, E, AutoIntSettings(layers=2, heads=2, width=6)),
        autoint,
    ),
    "autoint, heads by row": (
        lambda: SelfAttention(F, E, AutoIntSettings(layers=2, heads=2, width=6, head_split="row")),
        autoint_by_row,
    ),
    "autoint, scaled and normalised": (
        lambda: SelfAttention(
            F, E, AutoIntSettings(layers=2, heads=3, width=6, scale=True, layer_norm=True)
        ),
        partial(autoint, scaled=True),
    ),
    "autoint, without residual": (
        lambda: SelfAttention(F, E, AutoIntSettings(layers=1, heads=1, width=4, residual=False)),
        autoint,
    ),
    "sam": (lambda: SelfAttentionModel(F, E, SamSettings(layers=2)), sam),
    "sam, weighted": (
        lambda: SelfAttentionModel(F, E, SamSettings(layers=2, pooling="weighted")),
        sam,
    ),
    "sam, without residual": (
        lambda: SelfAttentionModel(F, E, SamSettings(layers=1, residual=False)),
        sam,
    ),
}


def built(make):
    """The part in float64 with all weights drawn, biases and unit weights too."""
    torch.manual_seed(0)
    part = make().double()
    for weight in part.parameters():
        nn.init.normal_(weight, std=0.6)
    return part


@pytest.mark.parametrize(("make", "loops"), PARTS.values(), ids=PARTS)
def test_a_part_and_its_gradients_are_those_of_the_equation(make, loops):
    part = built(make)
    fields = torch.randn(5, F, E, dtype=torch.float64, requires_grad=True)
    share = torch.randn(5, dtype=torch.float64)
    got, want = part(fields), torch.stack([loops(part, row) for row in fields])
    assert got.shape == (5, 1)
    torch.testing.assert_close(got.squeeze(1), want)
    inputs = (fields, *part.parameters())
    got = torch.autograd.grad(got.squeeze(1) @ share, inputs)
    want = torch.autograd.grad(want @ share, inputs)
    for a, b in zip(got, want, strict=True):
        assert b.any()
        torch.testing.assert_close(a, b)


DROPPING = {  # a part whose dropout is 1/2, and the shape of what each of its dropouts drops from
    "afm": (
        lambda: AttentionalPairs(F, E, AfmSettings(dropout=0.5, pooled_dropout=0.5)),
        [(9, 3, 1), (9, E)],
    ),
    "autoint": (
        lambda: SelfAttention(F, E, AutoIntSettings(layers=2, heads=2, width=6, dropout=0.5)),
        [(9, 2, F, F), (9, F, 6)] * 2,
    ),
    "sam": (
        lambda: SelfAttentionModel(F, E, SamSettings(layers=2, dropout=0.5)),
        [(9, F, E)] * 2,
    ),
}


@pytest.mark.parametrize(("make", "shapes"), DROPPING.values(), ids=DROPPING)
def test_dropout_is_where_it_is_published_and_in_training_alone(make, shapes):
    part, seen = built(make), []
    for module in part.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out)))
    fields = torch.randn(9, F, E, dtype=torch.float64)
    part(fields)
    assert [tuple(out.shape) for _, out in seen] == shapes
    share = torch.cat([(out[x != 0] == 0).double() for x, out in seen]).mean()
    assert 0.3 < share < 0.7
    assert torch.equal(part.eval()(fields), part(fields))


def test_afm_takes_chunks_of_rows_and_leaves_none_out():
    part = built(lambda: AttentionalPairs(F, E, AfmSettings(width=5)))
    fields = torch.randn(2 * CHUNK + 3, F, E, dtype=torch.float64)
    expected = torch.stack([afm(part, row).reshape(1) for row in fields])
    torch.testing.assert_close(part(fields), expected)
    assert part(fields[:0]).shape == (0, 1)
