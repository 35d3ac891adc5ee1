"""Networks over fields against their equations."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy as cross_entropy

from cv.auc import auc
from models.fields import FieldNetwork, FieldRows, FieldSettings, FirstCrossNetwork, encode
from models.layers.compressed_interaction import CompressedInteraction
from models.layers.factorization_machine import PairwiseInteraction
from models.settings import FinalSettings, FitSettings, MlpSettings
from models.training.fit import fit, predict
from models.training.losses import loss

close = torch.testing.assert_close
SIZES, FIRST = (4, 6, 5), (0, 4, 10)
RANDOM = torch.Generator().manual_seed(0)
FIELDS = torch.randn(5, 3, 4, dtype=torch.float64, generator=RANDOM)  # (B, F, E)
BATCH = torch.stack([torch.randint(1, n, (12,), generator=RANDOM) for n in SIZES], dim=1)
LABEL = torch.tensor([0.0, 1.0] * 6, dtype=torch.float64)
TWO_BLOCKS = FinalSettings(block1=(6, 4), block2=(4,), dropout=0.0, activation1="relu", gating=True)

PAPER = replace(TWO_BLOCKS, layer="paper", steps=3, activation1="sigmoid")


def settings(explicit="none", deep="mlp", **changed):
    small = FieldSettings(
        explicit=explicit,
        deep=deep,
        embedding_dim=2,
        cin_maps=(3, 2),
        cross_layers=2,
        mlp=MlpSettings(hidden=(6,), dropout=0.0),
        final=FinalSettings(block1=(6,), block2=(), dropout=0.0, activation1="relu"),
        fit=FitSettings(batch_size=6, max_epochs=3, embedding_l2=0.1, learning_rate=0.01),
    )
    return replace(small, **changed)


def network(s):
    """In float64, with weights that are large enough to tell formulas apart."""
    torch.manual_seed(1)
    net = FieldNetwork(s, SIZES).double().eval()
    for table in net.embedding_tables():
        torch.nn.init.normal_(table)
    return net


def test_pairs_of_a_factorisation_machine_are_the_sum_over_pairs():
    for row, logit in zip(FIELDS, PairwiseInteraction()(FIELDS), strict=True):
        want = sum(torch.dot(row[i], row[j]) for i, j in itertools.combinations(range(3), 2))
        close(logit, want[None])


def test_cin_is_the_sum_over_pairs_of_maps_and_fields():
    torch.manual_seed(0)
    cin = CompressedInteraction(3, (4, 2)).double()
    for row, logit in zip(FIELDS, cin(FIELDS), strict=True):
        maps, pooled = list(row), []
        for linear in cin.layers:
            weight = linear.weight.unflatten(1, (len(maps), 3))
            pairs = list(itertools.product(range(len(maps)), range(3)))
            maps = [sum(w[i, j] * maps[i] * row[j] for i, j in pairs) for w in weight]
            pooled += [x.sum() for x in maps]
        close(logit, torch.stack(pooled) @ cin.out.weight.T)


def test_cross_layers_are_those_of_the_first_version():
    torch.manual_seed(0)
    cross = FirstCrossNetwork(12, 3).double()
    for bias in cross.biases:
        torch.nn.init.normal_(bias)
    for row, logit in zip(FIELDS, cross(FIELDS), strict=True):
        x0 = x = row.flatten()
        for weight, bias in zip(cross.weights, cross.biases, strict=True):
            x = torch.stack([x0[d] * (weight.weight[0] @ x) + bias[d] + x[d] for d in range(12)])
        close(logit, cross.out.weight @ x)


@pytest.mark.parametrize("explicit", ["none", "fm", "cin", "cross"])
@pytest.mark.parametrize("deep", ["mlp", "final"])
def test_the_logit_is_the_deep_part_plus_the_explicit_one(explicit, deep):
    net = network(settings(explicit, deep))
    for row, logit in zip(BATCH, net(BATCH), strict=True):
        index = [first + int(value) for first, value in zip(FIRST, row, strict=True)]
        fields = torch.stack([net.embedding.weight[p] for p in index])
        want = net.deep(fields.reshape(1, -1))
        if explicit != "none":
            want = want + net.explicit(fields[None])
        if explicit in ("fm", "cin"):
            want = want + sum(net.first_order.weight[p] for p in index)
        close(logit, want[0, 0])


def test_an_explicit_part_joins_both_branches_of_two_blocks_and_the_loss_distils():
    net = network(settings("fm", "final", final=TWO_BLOCKS))
    hidden = net.hidden(BATCH)
    branches = net.head(hidden)
    assert branches.shape == (12, 2)
    close(branches, net.deep.head(hidden[:, :-1]) + hidden[:, -1:])
    close(net(BATCH), branches.mean(1))
    p = branches.mean(1).sigmoid()
    want = cross_entropy(p, LABEL) + sum(
        cross_entropy(branch.sigmoid(), p.detach()) for branch in branches.T
    )
    close(loss(net, BATCH, LABEL, FitSettings()), want)


def test_the_gate_sees_fields_and_not_columns():
    net = network(settings(deep="final", final=TWO_BLOCKS))
    assert net.deep.gate.weight.shape == (3, 3)


@pytest.mark.parametrize(("explicit", "tables"), [("none", 1), ("fm", 2), ("cin", 2), ("cross", 1)])
def test_embeddings_begin_small_with_zero_padding_and_all_are_under_l2(explicit, tables):
    net = FieldNetwork(settings(explicit), (40, 60, 50))
    assert len(net.embedding_tables()) == tables
    for table in net.embedding_tables():
        padding = table[[0, 40, 100]]
        assert not padding.any()
        others = table[[i for i in range(150) if i not in (0, 40, 100)]]
        assert 5e-5 < others.std() < 2e-4
        assert others.all()


def test_values_become_rows_of_their_own_field_and_unseen_ones_the_last_row():
    vocabularies = [torch.tensor([3, 7, 9]), torch.tensor([0, 7])]
    values = torch.tensor([[3, 7], [9, 0], [7, 3], [4, 9], [99, -1], [0, 7]])
    got = encode(values, vocabularies)
    assert got.tolist() == [[1, 2], [3, 1], [2, 3], [4, 3], [4, 3], [4, 2]]
    assert got.dtype == torch.int64


def test_a_batch_holds_the_rows_asked_for():
    rows = FieldRows(BATCH)
    assert len(rows) == 12
    assert rows.device == BATCH.device
    assert torch.equal(rows.batch(torch.tensor([4, 0])), BATCH[[4, 0]])


@pytest.mark.parametrize("explicit", ["none", "fm", "cin", "cross"])
@pytest.mark.parametrize("final", [settings().final, TWO_BLOCKS, PAPER])
def test_every_part_learns_in_the_one_loop_and_padding_and_unseen_values_only_shrink(
    explicit, final
):
    s = settings(explicit, "final", final=final)
    torch.manual_seed(0)
    net = FieldNetwork(s, (5, 7, 6))  # the last row of each field is not in BATCH
    before = {name: value.clone() for name, value in net.named_parameters()}
    rows, label = FieldRows(BATCH), LABEL.float()
    report = fit(net, rows, label, rows, label, s.fit, seed=0, score=auc)
    assert torch.equal(predict(net, rows), report.held_logits)
    for name, value in net.named_parameters():
        changed = ~torch.isclose(value, before[name], rtol=0, atol=1e-7)
        assert changed.any() or name.endswith("linear.bias"), name  # batch norm takes out a bias
    for table in net.embedding_tables():
        assert not table[[0, 5, 12]].any()


def test_settings_know_the_parts_that_are_not_read():
    assert settings("none", "mlp").unread == {"cin_maps", "cross_layers", "final"}
    assert settings("cin", "final", final=TWO_BLOCKS).unread == {
        "cross_layers", "mlp", "final.steps",
    }  # fmt: skip
    assert settings("cross", "mlp").unread == {"cin_maps", "final"}
    paper = settings(deep="final", final=FinalSettings(layer="paper", block1=(6,), block2=()))
    assert [k for k in ("final", "final.steps", "final.dropout") if paper.reads(k)] == [
        "final", "final.steps", "final.dropout",
    ]  # fmt: skip
    assert not any(map(paper.reads, ("final.residual", "final.activation2", "mlp.hidden")))
