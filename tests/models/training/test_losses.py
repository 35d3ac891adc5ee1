"""Losses against their equations as loops."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from models.settings import FinalSettings, FitSettings, QnnSettings
from models.training.losses import bpr, focal, info_nce, listwise, loss
from tests.helpers.networks.small import network, rows, settings

close = torch.testing.assert_close
ROWS, LABEL = rows(n_rows=8)
BATCH = ROWS.batch(torch.arange(8))
SLATE = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])
LOGIT = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
KINDS = ("bce", "bce_bpr", "listwise", "focal", "contrastive")


def log_loss(y, label):
    p = 1 / (1 + math.exp(-y))
    return -math.log(p if label else 1 - p)


def test_bpr_is_the_mean_over_all_pairs_of_a_positive_and_a_negative():
    pairs = [
        math.log(1 + math.exp(LOGIT[j] - LOGIT[i]))
        for i in range(8)
        for j in range(8)
        if LABEL[i] == 1 and LABEL[j] == 0
    ]
    assert len(pairs) == 15
    assert bpr(LOGIT, LABEL).item() == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_a_batch_of_one_label_has_no_pairs_and_loses_nothing(only):
    logit = LOGIT.clone().requires_grad_()
    lost = bpr(logit, torch.full_like(LABEL, only))
    lost.backward()
    assert lost.item() == 0
    assert not logit.grad.any()


# two clicks of three; one of two; a click alone; no click
CLICKS = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], dtype=torch.float64)


def listwise_loop(y, label):
    """The mean over the slates that count, one after the other, as plain floats."""
    lost = []
    for number in range(4):
        of_slate = [i for i in range(8) if SLATE[i] == number]
        clicked = [i for i in of_slate if label[i] == 1]
        if clicked and len(of_slate) > 1:
            total = sum(math.exp(y[i]) for i in of_slate)
            lost.append(-sum(math.log(math.exp(y[i]) / total) for i in clicked) / len(clicked))
    return sum(lost) / len(lost)


def test_listwise_is_the_mean_over_slates_of_their_cross_entropy():
    y = LOGIT.tolist()
    assert listwise(LOGIT, CLICKS, SLATE).item() == pytest.approx(listwise_loop(y, CLICKS))


def test_the_gradient_of_listwise_is_its_slope():
    logit = LOGIT.clone().requires_grad_()
    listwise(logit, CLICKS, SLATE).backward()
    for i in range(8):
        up, down = ([y + d * (i == j) for j, y in enumerate(LOGIT.tolist())] for d in (1e-6, -1e-6))
        slope = (listwise_loop(up, CLICKS) - listwise_loop(down, CLICKS)) / 2e-6
        assert logit.grad[i].item() == pytest.approx(slope, abs=1e-8)
    assert not logit.grad[5:].any()  # a click alone, and a slate without one


def test_listwise_depends_on_differences_alone_and_takes_large_logits():
    want = listwise(LOGIT, CLICKS, SLATE)
    close(listwise(LOGIT + 5 * SLATE, CLICKS, SLATE), want)
    logit = torch.tensor([1e4, -1e4], requires_grad=True)
    lost = listwise(logit, torch.tensor([0.0, 1.0]), torch.tensor([0, 0]))
    lost.backward()
    assert lost.item() == 2e4
    assert logit.grad.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("label", "slate"), [([0, 0, 0], [0, 0, 0]), ([1, 1, 0], [0, 1, 2])], ids=["no click", "alone"]
)
def test_a_batch_without_a_slate_that_counts_loses_nothing(label, slate):
    logit = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    lost = listwise(logit, torch.tensor(label).float(), torch.tensor(slate))
    lost.backward()
    assert lost.item() == 0
    assert not logit.grad.any()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_listwise_share_mixes_the_log_loss_in(share):
    net = network(settings(qnn=QnnSettings(layers=1, rows=2, dropout=0.0)))
    batch = replace(BATCH, slate=SLATE)
    y = net(batch)
    want = share * listwise(y, LABEL, SLATE)
    want += (1 - share) * F.binary_cross_entropy_with_logits(y, LABEL)
    close(loss(net, batch, LABEL, FitSettings(loss="listwise", listwise_share=share)), want)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_gradient_for_rows_that_are_certain(gamma):
    logit = torch.tensor([40.0, -40.0, 40.0, 0.0], requires_grad=True)
    focal(logit, torch.tensor([1.0, 0.0, 0.0, 1.0]), gamma).backward()
    assert torch.isfinite(logit.grad).all()
    assert logit.grad[2] > 0.2


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_weighs_a_row_by_how_wrong_it_is(gamma):
    want = [
        (1 - math.exp(-log_loss(y, t))) ** gamma * log_loss(y, t)
        for y, t in zip(LOGIT.tolist(), LABEL.tolist(), strict=True)
    ]
    assert focal(LOGIT, LABEL, gamma).item() == pytest.approx(sum(want) / 8)


def test_info_nce_asks_every_row_for_its_own_other_view_both_ways():
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    similar = [[(x @ y / x.norm() / y.norm()).item() / 0.2 for y in b] for x in a]
    want = 0.0
    for i in range(5):
        across = sum(math.exp(similar[i][j]) for j in range(5))
        down = sum(math.exp(similar[j][i]) for j in range(5))
        want -= math.log(math.exp(similar[i][i]) / across) + math.log(
            math.exp(similar[i][i]) / down
        )
    assert info_nce(a, b, 0.2).item() == pytest.approx(want / 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distillation", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_named_one_and_composes_with_distillation_and_smoothed_labels(
    kind, distillation, smoothing
):
    final = FinalSettings(block1=(6,), block2=(4,), distillation=distillation)
    net = network(settings(interaction="final", final=final)).eval()  # both views are the same
    for weight in net.interaction.parameters():
        weight.data *= 0.1  # or p rounds to 1
    s = FitSettings(loss=kind, label_smoothing=smoothing)
    hidden = net.hidden(BATCH)
    y = net.head(hidden)
    p = torch.sigmoid(y.mean(1))
    plain = F.binary_cross_entropy(p, (LABEL - smoothing / 2).abs())
    want = {
        "bce": plain,
        "bce_bpr": 0.8 * plain + 0.2 * bpr(y.mean(1), LABEL),
        "listwise": 0.5 * plain + 0.5 * listwise(y.mean(1), LABEL, SLATE),
        "focal": focal(y.mean(1), LABEL, 2.0),
        "contrastive": plain + 0.1 * info_nce(hidden, hidden, 0.1),
    }[kind]
    if distillation:
        want = want + sum(F.binary_cross_entropy(torch.sigmoid(b), p.detach()) for b in y.T)
    close(loss(net, replace(BATCH, slate=SLATE), LABEL, s), want)


def test_the_two_views_of_the_contrastive_loss_differ_by_their_dropout():
    net = network(settings(qnn=QnnSettings(layers=2, dropout=0.5)))
    s = replace(FitSettings(loss="contrastive"), contrastive_weight=1.0)
    torch.manual_seed(0)
    lost = loss(net, BATCH, LABEL, s)
    torch.manual_seed(0)
    views = [net.hidden(BATCH) for _ in range(2)]
    assert not torch.allclose(*views)
    logs = [F.binary_cross_entropy_with_logits(net.head(view).squeeze(1), LABEL) for view in views]
    close(lost, sum(logs) / 2 + info_nce(*views, 0.1))
