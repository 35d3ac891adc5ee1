"""Networks over fields: how first order, explicit and deep part make up the logit, and training."""

import itertools
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.nn.functional import binary_cross_entropy as cross_entropy

from cv.auc import auc
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.fields.settings import (
    AfmSettings,
    AutoIntSettings,
    CinSettings,
    CrossV1Settings,
    CrossV2Settings,
    Deep,
    Explicit,
    FieldSettings,
    SamSettings,
)
from models.settings import FinalSettings, FitSettings, MlpSettings
from models.training.fit import fit, predict
from models.training.losses import loss

close = torch.testing.assert_close
SIZES, FIRST, N_NUMERIC = (4, 6, 5), (0, 4, 10), 2
RANDOM = torch.Generator().manual_seed(0)
BATCH = torch.stack([torch.randint(1, n, (12,), generator=RANDOM) for n in SIZES], dim=1)
NUMBERS = torch.randn(12, N_NUMERIC, dtype=torch.float64, generator=RANDOM)
ROWS = FieldRows(BATCH, NUMBERS)
LABEL = torch.tensor([0.0, 1.0] * 6, dtype=torch.float64)
TWO_BLOCKS = FinalSettings(block1=(6, 4), block2=(4,), dropout=0.0, activation1="relu", gating=True)
PAPER = replace(TWO_BLOCKS, layer="paper", steps=3, activation1="sigmoid")
PARTS = [
    (explicit, deep, first_order)
    for explicit, deep, first_order in itertools.product(
        get_args(Explicit), get_args(Deep), (False, True)
    )
    if first_order or (explicit, deep) != ("none", "none")
]


def settings(explicit="none", deep="mlp", first_order=False, **changed):
    small = FieldSettings(
        explicit=explicit,
        deep=deep,
        first_order=first_order,
        embedding_dim=2,
        afm=AfmSettings(width=3),
        cin=CinSettings(maps=(3, 2)),
        cross=CrossV1Settings(layers=2),
        cross_v2=CrossV2Settings(layers=2),
        autoint=AutoIntSettings(layers=2, heads=2, width=4),
        sam=SamSettings(layers=2),
        mlp=MlpSettings(hidden=(6,), dropout=0.0),
        final=FinalSettings(block1=(6,), block2=(), dropout=0.0, activation1="relu"),
        fit=FitSettings(batch_size=6, max_epochs=3, embedding_l2=0.1, learning_rate=0.01),
    )
    return replace(small, **changed)


def network(s, n_numeric=N_NUMERIC):
    """In float64, with weights that are large enough to tell formulas apart."""
    torch.manual_seed(1)
    net = FieldNetwork(s, SIZES, n_numeric).double().eval()
    for weight in (*net.embedding_tables(), *([] if net.bias is None else [net.bias])):
        torch.nn.init.normal_(weight)
    return net


@pytest.mark.parametrize("padding_rows", [True, False])
@pytest.mark.parametrize(("explicit", "deep", "first_order"), PARTS)
def test_the_logit_is_the_sum_of_its_parts(explicit, deep, first_order, padding_rows):
    net = network(settings(explicit, deep, first_order, padding_rows=padding_rows))
    starts = FIRST if padding_rows else (-1, 2, 7)  # value 1 stands where padding stood

    def vectors(table, row, numbers):
        index = [first + int(value) for first, value in zip(starts, row, strict=True)]
        scaled = [x * vector for x, vector in zip(numbers, table.numeric, strict=True)]
        return torch.stack([*scaled, *(table.weight[p] for p in index)])

    for row, numbers, logit in zip(BATCH, NUMBERS, net(ROWS), strict=True):
        want = torch.zeros(1, 1, dtype=torch.float64)
        if deep != "none":
            want = want + net.deep(vectors(net.embedding, row, numbers).reshape(1, -1))
        if explicit != "none":
            want = want + net.explicit(vectors(net.embedding, row, numbers)[None])
        if first_order:
            want = want + vectors(net.first_order, row, numbers).sum()
        if net.bias is not None:
            want = want + net.bias
        close(logit, want[0, 0])


@pytest.mark.parametrize(("explicit", "deep", "first_order"), PARTS)
def test_every_network_has_a_bias(explicit, deep, first_order):
    net = network(settings(explicit, deep, first_order))
    before = [b.clone() for b in net.parameters() if b.shape == (1,)]
    assert before
    assert (net.bias is not None) == (deep == "none" and explicit in ("none", "fm", "afm"))


def test_an_explicit_part_joins_both_branches_of_two_blocks_and_the_loss_distils():
    net = network(settings("fm", "final", True, final=TWO_BLOCKS))
    hidden = net.hidden(ROWS)
    branches = net.head(hidden)
    assert branches.shape == (12, 2)
    close(branches, net.deep.head(hidden[:, :-1]) + hidden[:, -1:])
    close(net(ROWS), branches.mean(1))
    p = branches.mean(1).sigmoid()
    want = cross_entropy(p, LABEL) + sum(
        cross_entropy(branch.sigmoid(), p.detach()) for branch in branches.T
    )
    close(loss(net, ROWS, LABEL, FitSettings()), want)
    assert not network(settings("fm", "none", True)).distils


def test_the_gate_sees_fields_numeric_ones_too_and_not_columns():
    net = network(settings(deep="final", final=TWO_BLOCKS))
    assert net.deep.gate.weight.shape == (5, 5)


@pytest.mark.parametrize("explicit", get_args(Explicit))
@pytest.mark.parametrize("final", [settings().final, TWO_BLOCKS, PAPER, None])
def test_every_part_learns_in_the_one_loop_and_padding_and_unseen_values_only_shrink(
    explicit, final
):
    s = settings(explicit, "final", first_order=True, final=final or FinalSettings())
    s = s if final else replace(s, deep="none")
    torch.manual_seed(0)
    net = FieldNetwork(s, (5, 7, 6), N_NUMERIC)  # the last row of each field is not in BATCH
    before = {name: value.clone() for name, value in net.named_parameters()}
    rows, label = FieldRows(BATCH, NUMBERS.float()), LABEL.float()
    report = fit(net, rows, label, rows, label, s.fit, seed=0, score=auc)
    assert torch.equal(predict(net, rows), report.held_logits)
    for name, value in net.named_parameters():
        changed = ~torch.isclose(value, before[name], rtol=0, atol=1e-7)
        assert changed.any() or name.endswith("linear.bias"), name  # batch norm takes out a bias
    for table in (net.embedding, net.first_order):
        assert table is None or not table.weight[[0, 5, 12]].any()


def test_settings_know_the_parts_that_are_not_read():
    explicit = {"afm", "cin", "cross", "cross_v2", "autoint", "sam"}
    assert settings("none", "mlp").unread == explicit | {"final"}
    two_blocks = settings("cin", "final", final=TWO_BLOCKS).unread
    assert two_blocks == explicit - {"cin"} | {"mlp", "final.steps"}
    assert settings("cross", "mlp").unread == explicit - {"cross"} | {"final"}
    assert settings("sam", "none").unread == explicit - {"sam"} | {"mlp", "final"}
    assert settings("none", "none", True).unread == explicit | {"mlp", "final", "embedding_dim"}
    full_rank = settings("cross_v2", "mlp").unread
    assert full_rank == explicit - {"cross_v2"} | {"cross_v2.rank", "final"}
    mixture = settings("cross_v2", "mlp", cross_v2=CrossV2Settings(experts=2)).unread
    assert mixture == explicit - {"cross_v2"} | {"final"}
    paper = settings(deep="final", final=FinalSettings(layer="paper", block1=(6,), block2=()))
    assert all(map(paper.reads, ("final", "final.steps", "final.dropout")))
    assert not any(map(paper.reads, ("final.residual", "final.activation2", "mlp.hidden")))
