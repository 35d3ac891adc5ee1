"""Batches and whole networks, row by row."""

from dataclasses import replace

import pytest
import torch

from models.settings import (
    CrossSettings,
    DinSettings,
    FinalSettings,
    MlpSettings,
    QnnSettings,
    TransformerSettings,
)
from models.training.fit import predict
from tests.helpers.networks.small import CONTENT, N_ITEMS, items, network, rows, settings

QIN = settings(qnn=QnnSettings(layers=2, rows=3))
DIN = settings(
    interest="din", interaction="mlp", din=DinSettings(hidden=(6, 4)), mlp=MlpSettings(hidden=(8,))
)
FINAL = settings(interaction="final", final=FinalSettings(block1=(8, 4), block2=(6,)))
MEAN = settings(interest="mean", interaction="mlp", mlp=MlpSettings(hidden=(8,)))
DCN = settings(
    interest="transformer",
    interaction="cross",
    transformer=TransformerSettings(feedforward=5, last=2),
    cross=CrossSettings(layers=2, deep=(6,), hidden=(4,)),
)
RICH = replace(QIN, item_levels=True, item_codes=True, user_id=True)
NETWORKS = {"qin": QIN, "din": DIN, "final": FINAL, "mean": MEAN, "dcn": DCN, "rich": RICH}
ALL = pytest.mark.parametrize("s", NETWORKS.values(), ids=NETWORKS)
ROWS, _ = rows()


def ids_of(r: int, max_len: int) -> list[int]:
    """History item ids of row r, by hand."""
    h = ROWS.history[r]
    return ROWS.values[ROWS.begin[h] : ROWS.end[h]].tolist()[-max_len:]


@pytest.mark.parametrize("max_len", [1, 3, 64])
def test_a_batch_holds_the_last_items_of_every_history_in_order(max_len):
    index = torch.tensor([7, 0, 3, 3])
    batch = ROWS.cut(max_len).batch(index)
    for b, r in enumerate(index.tolist()):
        entries = batch.history.position[batch.history.offsets[b] : batch.history.offsets[b + 1]]
        assert batch.items[entries].tolist() == ids_of(r, max_len)
        assert (
            batch.history.row[batch.history.offsets[b] : batch.history.offsets[b + 1]] == b
        ).all()
        assert batch.items[batch.target[b]] == ROWS.item[r]
        assert (batch.likes[b], batch.views[b]) == (ROWS.likes[r], ROWS.views[r])
    assert batch.items.unique().tolist() == batch.items.tolist()  # each item once
    used = {0, *ROWS.item[index].tolist(), *(i for r in index.tolist() for i in ids_of(r, max_len))}
    assert set(batch.items.tolist()) == used


def test_an_item_is_its_id_the_mean_of_its_tags_and_its_mapped_content():
    net, table = network(QIN).item, items()
    got = net(torch.arange(N_ITEMS))
    for i in range(N_ITEMS):
        real = [net.tag.weight[t] for t in table.tags[i].tolist() if t]
        mean = torch.stack(real).mean(0) if real else torch.zeros(4, dtype=torch.float64)
        want = torch.cat((net.id.weight[i], mean, net.content_map.weight @ table.content[i]))
        torch.testing.assert_close(got[i], want)
    assert got.shape == (N_ITEMS, 2 * 4 + CONTENT)


def test_training_drops_the_id_of_an_item_alone_and_of_every_entry_that_holds_it():
    """Once for each distinct item of a batch; predictions never do."""
    net = network(replace(QIN, fit=replace(QIN.fit, item_dropout=0.75)))
    plain = network(QIN)
    every = torch.arange(N_ITEMS)
    whole = plain.represent(every)
    torch.manual_seed(0)
    drawn = torch.stack([net.train().represent(every) for _ in range(2000)])
    assert torch.equal(drawn[..., 4:], whole[:, 4:].expand(2000, -1, -1))
    dropped = (drawn[:, 1:, :4] == 0).all(-1)
    kept = (drawn[:, 1:, :4] == whole[1:, :4]).all(-1)
    assert (dropped ^ kept).all()
    assert (dropped.double().mean(0) > 0.7).all()
    assert (dropped.double().mean(0) < 0.8).all()
    assert torch.equal(net.eval().represent(every), whole)
    assert torch.equal(predict(net, ROWS), predict(plain, ROWS))


def test_levels_and_codes_of_an_item_follow_its_id_tags_and_content():
    net, table = network(RICH), items()
    got, own = net.represent(torch.arange(N_ITEMS)), net.item(torch.arange(N_ITEMS))
    for i in range(N_ITEMS):
        levels = net.likes.weight[table.likes[i]], net.views.weight[table.views[i]]
        codes = [net.item.code.weight[c] for c in table.codes[i].tolist() if c]
        mean = torch.stack(codes).mean(0) if codes else torch.zeros(4, dtype=torch.float64)
        torch.testing.assert_close(own[i, -4:], mean)
        torch.testing.assert_close(got[i], torch.cat((own[i], *levels)))


@ALL
def test_the_input_of_the_interaction_is_levels_target_and_interest(s):
    net = network(s).eval()
    batch = ROWS.batch(torch.arange(8))
    r = net.represent(batch.items)
    z = net.interest(r[batch.target], r, batch.history)
    row = [net.likes.weight[batch.likes], net.views.weight[batch.views]]
    if s.user_id:
        row.append(net.user.weight[ROWS.user.long()])
    x = torch.cat((*row, r[batch.target], z), 1)
    torch.testing.assert_close(net(batch), net.interaction(x).mean(1))


@ALL
def test_a_row_scores_the_same_alone_in_company_and_in_predict(s):
    net = network(s).eval()
    together = net(ROWS.batch(torch.arange(8)))
    alone = torch.cat([net(ROWS.batch(torch.tensor([r]))) for r in range(8)])
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)
    predicted = predict(net, ROWS, batch_size=3)
    torch.testing.assert_close(predicted, together.detach(), rtol=1e-12, atol=1e-12)


@ALL
def test_only_real_items_within_max_len_reach_the_logit(s):
    net = network(s).eval()
    before = predict(net, ROWS)
    values = ROWS.values.clone()
    oldest = int(ROWS.begin[3])  # of history 3, five items long: one more than max_len
    values[oldest] = values[oldest] % (N_ITEMS - 1) + 1
    assert torch.equal(predict(net, replace(ROWS, values=values)), before)
    others = replace(ROWS, values=ROWS.values % (N_ITEMS - 1) + 1)
    changed = (predict(net, others) - before).abs() > 1e-12
    assert not changed[ROWS.history == 0].any()  # nothing to replace
    assert changed[ROWS.history != 0].double().mean() > 0.5  # ReLU may silence the others


def test_padding_rows_of_the_tables_start_at_zero_and_get_no_gradient():
    net = network(RICH)
    net(ROWS.batch(torch.arange(8))).sum().backward()
    for table in (net.item.id, net.item.tag, net.item.code, net.likes, net.views, net.user):
        assert not table.weight[0].any()
        assert not table.weight.grad[0].any()


def test_what_the_store_holds_is_not_stored_in_every_fit_again():
    """The tables of the items that no training changes come from the store."""
    rich, plain = network(RICH), network(QIN)
    for one, tables in ((rich, {"tags", "content", "codes"}), (plain, {"tags", "content"})):
        frozen = {f"item.{name}" for name in tables}
        frozen |= {"item_likes", "item_views"} if one is rich else set()
        buffers = {name for name, table in one.named_buffers() if table is not None}
        assert buffers - {*one.state_dict()} == frozen
        learned = {name for name, _ in one.named_parameters()}
        stored = {*one.state_dict()} - learned
        assert {name.rpartition(".")[2] for name in stored} <= {
            "running_mean",
            "running_var",
            "num_batches_tracked",
        }
