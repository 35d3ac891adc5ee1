"""Batches and whole networks, row by row.   run: ./run_tests.sh tests/test_network.py"""

import math
from dataclasses import replace

import pytest
import torch

from models.fit import predict
from models.settings import (
    DinSettings,
    FinalSettings,
    FitSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
)
from tests.small import CONTENT, N_ITEMS, items, network, rows, settings

QIN = settings(qnn=QnnSettings(layers=2, rows=3))
DIN = settings(
    interest="din", interaction="mlp", din=DinSettings(hidden=(6, 4)), mlp=MlpSettings(hidden=(8,))
)
FINAL = settings(interaction="final", final=FinalSettings(block1=(8, 4), block2=(6,)))
MEAN = settings(interest="mean", interaction="mlp", mlp=MlpSettings(hidden=(8,)))
ALL = pytest.mark.parametrize("s", [QIN, DIN, FINAL, MEAN], ids=["qin", "din", "final", "mean"])
ROWS, _ = rows()


def ids_of(r: int, max_len: int) -> list[int]:
    """History item ids of row r, by hand."""
    h = ROWS.history[r]
    return ROWS.values[ROWS.offsets[h] : ROWS.offsets[h + 1]].tolist()[-max_len:]


@pytest.mark.parametrize("max_len", [1, 3, 64])
def test_a_batch_holds_the_last_items_of_every_history_in_order(max_len):
    index = torch.tensor([7, 0, 3, 3])
    batch = ROWS.batch(index, max_len)
    for b, r in enumerate(index.tolist()):
        found = batch.history.position[batch.history.offsets[b] : batch.history.offsets[b + 1]]
        assert batch.items[found].tolist() == ids_of(r, max_len)
        assert (
            batch.history.row[batch.history.offsets[b] : batch.history.offsets[b + 1]] == b
        ).all()
        assert batch.items[batch.target[b]] == ROWS.item[r]
        assert (batch.likes[b], batch.views[b]) == (ROWS.likes[r], ROWS.views[r])
    assert batch.items.unique().tolist() == batch.items.tolist()  # each item once, and only these
    used = {*ROWS.item[index].tolist(), *(i for r in index.tolist() for i in ids_of(r, max_len))}
    assert set(batch.items.tolist()) == used


def test_an_item_is_its_id_the_mean_of_its_tags_and_its_mapped_content():
    net, (tags, content) = network(QIN).item, items()
    got = net(torch.arange(N_ITEMS))
    for i in range(N_ITEMS):
        real = [net.tag.weight[t] for t in tags[i].tolist() if t]
        mean = torch.stack(real).mean(0) if real else torch.zeros(4, dtype=torch.float64)
        want = torch.cat((net.id.weight[i], mean, net.content_map.weight @ content[i]))
        torch.testing.assert_close(got[i], want)
    assert got.shape == (N_ITEMS, 2 * 4 + CONTENT)


@ALL
def test_the_input_of_the_interaction_is_levels_target_and_interest(s):
    net = network(s).eval()
    batch = ROWS.batch(torch.arange(8), s.max_len)
    r = net.item(batch.items)
    z = net.interest(r[batch.target], r, batch.history)
    x = torch.cat(
        (net.likes.weight[batch.likes], net.views.weight[batch.views], r[batch.target], z), 1
    )
    torch.testing.assert_close(net(batch), net.interaction(x).mean(1))


@ALL
def test_a_row_scores_the_same_alone_in_company_and_in_predict(s):
    net = network(s).eval()
    together = net(ROWS.batch(torch.arange(8), s.max_len))
    alone = torch.cat([net(ROWS.batch(torch.tensor([r]), s.max_len)) for r in range(8)])
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)
    predicted = predict(net, ROWS, s.max_len, batch_size=3)
    torch.testing.assert_close(predicted, together.detach(), rtol=1e-12, atol=1e-12)


@ALL
def test_only_real_items_within_max_len_reach_the_logit(s):
    net = network(s).eval()
    before = predict(net, ROWS, s.max_len)
    values = ROWS.values.clone()
    oldest = int(ROWS.offsets[3])  # of history 3, five items long: one more than max_len
    values[oldest] = values[oldest] % (N_ITEMS - 1) + 1
    assert torch.equal(predict(net, replace(ROWS, values=values), s.max_len), before)
    others = replace(ROWS, values=ROWS.values % (N_ITEMS - 1) + 1)
    changed = predict(net, others, s.max_len) != before
    assert not changed[ROWS.history == 0].any()  # nothing to replace
    assert changed[ROWS.history != 0].double().mean() > 0.5  # ReLU may silence the others


def test_padding_rows_of_the_tables_start_at_zero_and_get_no_gradient():
    net = network(QIN)
    net(ROWS.batch(torch.arange(8), 4)).sum().backward()
    for table in (net.item.id, net.item.tag, net.likes, net.views):
        assert not table.weight[0].any()
        assert not table.weight.grad[0].any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"interest": "din_attention"}, "interest = 'din_attention' must be one of"),
        ({"max_len": 0}, "max_len = 0 must be positive"),
        ({"qnn": QnnSettings(dropout=1.0)}, "qnn.dropout = 1.0 must be in [0, 1)"),
        ({"fit": FitSettings(learning_rate=math.nan)}, "fit.learning_rate = nan must be positive"),
        ({"din": DinSettings(hidden=())}, "din.hidden must hold at least one width"),
    ],
)
def test_impossible_networks_are_refused_by_name(changed, said):
    with pytest.raises(ValueError, match=r".") as refused:
        NetworkSettings(**{"interest": "asta", "interaction": "qnn"} | changed)
    assert said in str(refused.value)
