"""Rows that stay on the host."""

import threading
import weakref
from dataclasses import replace
from itertools import groupby

import pytest
import torch

from models.batches import rows as rows_module
from models.batches.batch import BatchCounts
from models.batches.feed import batches_on_device
from models.training.fit import fit, predict, train_epoch
from pipeline.training.row_placement import stay_on_host
from tests.helpers.networks.small import network, rows, settings

ON_DEVICE, LABEL = rows(n_rows=9)
ON_HOST = replace(ON_DEVICE, on_host=True)
CPU = torch.device("cpu")


def test_the_batches_are_those_of_rows_on_the_device_in_their_order():
    batches = torch.randperm(9).split(4)
    here, there = (list(batches_on_device(r, LABEL, batches, CPU)) for r in (ON_DEVICE, ON_HOST))
    assert len(here) == len(there) == 3
    for (a, a_label), (b, b_label) in zip(here, there, strict=True):
        assert torch.equal(a_label, b_label)
        assert torch.equal(a.items[a.target], b.items[b.target])
        assert torch.equal(a.history.position, b.history.position)
        assert torch.equal(a.likes, b.likes)


def test_no_batches_are_no_batches():
    assert list(batches_on_device(ON_HOST, LABEL, [], CPU)) == []


def test_one_batch_is_sliced_ahead_by_a_thread_and_no_more():
    sliced = []

    class Spy:
        on_host = True

        def read(self, plan, label):
            for index in plan:
                sliced.append((index.item(), threading.current_thread().name))
                yield ON_DEVICE.batch(index), None

    fed = batches_on_device(Spy(), None, torch.arange(5).split(1), CPU)
    for step in range(3):
        next(fed)
        done = [i for i, _ in sliced]
        assert done in ([*range(step + 1)], [*range(step + 2)])
    fed.close()
    assert threading.current_thread().name not in {name for _, name in sliced}


def test_a_fault_while_slicing_is_raised_where_the_batch_is_needed():
    with pytest.raises(IndexError):
        list(batches_on_device(ON_HOST, LABEL, [torch.tensor([99])], CPU))


def test_a_fit_from_the_host_is_the_fit_from_the_device_bit_for_bit():
    s = settings()
    fits = []
    for data in (ON_DEVICE, ON_HOST):
        net = network(s)
        score = lambda label, logits: -float((logits - label).abs().mean())  # noqa: E731
        fit(net, data, LABEL, data, LABEL, s.fit, seed=1, score=score)
        fits.append((net, predict(net, data)))
    (a, x), (b, y) = fits
    assert torch.equal(x, y)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def same(a, b) -> bool:
    columns = ("items", "target", "user", "likes", "views")
    pairs = [(getattr(a, name), getattr(b, name)) for name in columns]
    pairs += [
        (getattr(a.history, n), getattr(b.history, n)) for n in ("position", "row", "offsets")
    ]
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("sizes", [(4, 4, 1), (3, 3, 3), (2, 2, 2, 3), (9,), (0, 4, 0, 5)])
def test_batches_made_together_are_those_made_one_by_one(sizes):
    indices = torch.randperm(9).split(sizes)
    groups = [[*run] for _, run in groupby(indices, key=len)]
    together = [
        batch
        for group, counts in zip(groups, ON_DEVICE.counts(groups), strict=True)
        for batch in ON_DEVICE.batches(group, counts)
    ]
    assert len(together) == len(indices)
    assert all(same(a, ON_DEVICE.batch(i)) for a, i in zip(together, indices, strict=True))


def test_a_batch_points_at_its_own_items_and_entries():
    index = torch.tensor([7, 2, 3])
    batch = ON_DEVICE.batch(index)
    assert batch.items[0] == 0
    assert torch.equal(batch.items, batch.items.unique())
    assert torch.equal(batch.items[batch.target], ON_DEVICE.item[index].long())
    for row, number in enumerate(ON_DEVICE.history[index].tolist()):
        start, end = batch.history.offsets[row], batch.history.offsets[row + 1]
        first, last = ON_DEVICE.begin[number], ON_DEVICE.end[number]
        recent = ON_DEVICE.values[max(first, last - ON_DEVICE.max_len) : last].long()
        assert torch.equal(batch.items[batch.history.position[start:end]], recent)
        assert (batch.history.row[start:end] == row).all()


def test_a_gpu_makes_batches_of_one_length_together_as_far_as_the_items_allow(monkeypatch):
    monkeypatch.setattr(rows_module, "GROUP", 3)
    data, indices = ON_DEVICE.to("meta"), torch.arange(9, device="meta").split(2)
    assert [len(group) for group in data.groups(indices)] == [3, 1, 1]
    monkeypatch.setattr(rows_module, "GROUP_ITEMS", 2 * data.n_items + 1)
    assert [len(group) for group in data.groups(indices)] == [2, 2, 1]
    assert [len(group) for group in ON_DEVICE.groups(torch.arange(9).split(2))] == [1] * 5


def test_groups_of_large_batches_are_smaller(monkeypatch):
    data, indices = ON_DEVICE.to("meta"), torch.arange(9, device="meta").split(2)
    monkeypatch.setattr(rows_module, "GROUP_ENTRIES", 2 * 2 * data.max_len)
    assert [len(group) for group in data.groups(indices)] == [2, 2, 1]
    assert [len(group) for group in data.cut(1).groups(indices)] == [4, 1]
    monkeypatch.setattr(rows_module, "GROUP_ENTRIES", 1)
    assert [len(group) for group in data.groups(indices)] == [1] * 5
    assert [len(group) for group in data.groups(torch.arange(0, device="meta").split(2))] == [1]


def test_batches_keep_nothing_else_of_their_group(monkeypatch):
    """What has a place for every item, above all, is free while the network works on them."""
    made, located = [], type(ON_DEVICE).located

    def spy(self, *arguments):
        found = located(self, *arguments)
        made.extend(map(weakref.ref, found))
        return found

    monkeypatch.setattr(type(ON_DEVICE), "located", spy)
    batches = ON_DEVICE.batches([torch.arange(4)], None)
    first = next(batches)
    assert len(first.target) == 4
    assert len(made) == 5
    assert [tensor() for tensor in made] == [None] * 5


@pytest.mark.parametrize(
    ("interest", "interaction"),
    [("asta", "qnn"), ("din", "mlp"), ("din", "final"), ("mean", "cross")],
)
def test_no_step_of_an_epoch_waits_for_the_device(interest, interaction):
    """On torch's meta device, which has no values: waiting for one raises an error."""
    s = settings(interest=interest, interaction=interaction)
    net, data, label = network(s).to("meta"), ON_DEVICE.to("meta"), LABEL.to("meta")
    adam, index = torch.optim.Adam(net.parameters()), torch.arange(4, device="meta")
    taken = []

    def steps(counts):
        for step in range(2):
            yield data.batch(index, counts), label[index]
            taken.append(step)

    with pytest.raises(RuntimeError, match="item\\(\\) cannot be called on meta tensors"):
        train_epoch(net, steps(BatchCounts(9, 7)), adam, s.fit)
    assert taken == [0, 1]  # only the epoch's mean loss waited, at its end
    with pytest.raises(RuntimeError, match="without output_size"):
        train_epoch(net, steps(None), adam, s.fit)


@pytest.mark.parametrize(("wanted", "stays"), [("auto", False), ("device", False), ("host", True)])
def test_a_setting_keeps_rows_on_the_host(wanted, stays):
    assert stay_on_host(wanted, {"train": ON_DEVICE}, CPU) is stays
