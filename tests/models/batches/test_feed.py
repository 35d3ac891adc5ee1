"""Rows that stay on the host."""

import threading
from dataclasses import replace

import pytest
import torch

from models.batches.feed import batches_on_device
from models.batches.rows import BatchCounts
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


def test_batches_of_known_counts_are_the_same_batches():
    indices = torch.randperm(9).split(4)
    for index, counts in zip(indices, ON_DEVICE.counts(indices), strict=True):
        counted, waited = ON_DEVICE.batch(index, counts), ON_DEVICE.batch(index)
        for column in ("items", "target", "user", "likes", "views"):
            assert torch.equal(getattr(counted, column), getattr(waited, column))
        for column in ("position", "row", "offsets"):
            assert torch.equal(getattr(counted.history, column), getattr(waited.history, column))


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
