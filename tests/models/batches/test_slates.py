"""Batches of whole slates."""

from dataclasses import replace

import pytest
import torch

from models.batches.plan import numbered, plan_in_slates
from models.batches.source import NoSlates
from models.batches.stream import StreamRows
from models.fields.rows import FieldRows
from tests.helpers.networks.small import rows

# slates of 1 to 7 rows; equal users with another history, and equal histories of other users
SLATES = {(0, 0): 3, (0, 1): 1, (1, 0): 4, (1, 2): 7, (2, 3): 2, (3, 4): 1, (4, 4): 4, (5, 0): 1}
N_ROWS = sum(SLATES.values())


def slate_rows():
    """Rows of SLATES, in scattered order, and their label."""
    data, label = rows(n_rows=N_ROWS)
    pairs = [pair for pair, size in SLATES.items() for _ in range(size)]
    order = torch.randperm(N_ROWS, generator=torch.Generator().manual_seed(1))
    user, history = torch.tensor(pairs, dtype=torch.int32)[order].T
    return replace(data, user=user.contiguous(), history=history.contiguous()), label


ROWS, LABEL = slate_rows()


def plan(seed=0, batch_size=4, of=ROWS):
    return of.in_slates().plan(batch_size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch_size", [2, 4, 5, 100])
def test_every_row_comes_once_and_no_slate_is_cut(batch_size):
    for seed in range(20):
        batches = plan(seed, batch_size)
        assert torch.cat(list(batches)).sort().values.tolist() == list(range(N_ROWS))
        found = []
        for index in batches:
            pairs = list(zip(ROWS.user[index].tolist(), ROWS.history[index].tolist(), strict=True))
            begins = [i for i in range(len(pairs)) if i == 0 or pairs[i] != pairs[i - 1]]
            found += [pairs[i] for i in begins]
            for begin, end in zip(begins, [*begins[1:], len(pairs)], strict=True):
                assert end - begin == SLATES[pairs[begin]]
                assert index[begin:end].tolist() == sorted(index[begin:end].tolist())
        assert sorted(found) == sorted(SLATES)


def test_a_batch_ends_with_the_slate_that_fills_it_and_is_never_a_single_row():
    for seed in range(50):
        batches = plan(seed)
        sizes = [len(index) for index in batches]
        assert all(size >= 4 for size in sizes[:-1])
        assert min(sizes) > 1
        for index in batches[:-1]:
            last = (ROWS.user[index] == ROWS.user[index][-1]) & (
                ROWS.history[index] == ROWS.history[index][-1]
            )
            assert len(index) - int(last.sum()) < 4


def test_the_order_depends_on_the_generator_alone_and_changes_with_every_epoch():
    shuffle = torch.Generator().manual_seed(3)
    first, second = (ROWS.in_slates().plan(4, shuffle) for _ in range(2))
    torch.manual_seed(99)
    assert all(map(torch.equal, first, plan(3)))
    assert torch.cat(list(first)).tolist() != torch.cat(list(second)).tolist()


def test_batches_say_which_rows_share_a_slate_and_are_otherwise_those_of_the_rows():
    batches = plan()
    for (batch, label), index in zip(ROWS.in_slates().read(batches, LABEL), batches, strict=True):
        assert torch.equal(label, LABEL[index])
        keys = list(zip(ROWS.user[index].tolist(), ROWS.history[index].tolist(), strict=True))
        assert batch.slate.tolist() == [list(dict.fromkeys(keys)).index(key) for key in keys]
        plain = ROWS.batch(index)
        assert plain.slate is None
        assert torch.equal(batch.target, plain.target)
        assert torch.equal(batch.history.position, plain.history.position)
        assert torch.equal(batch.to(torch.device("cpu")).slate, batch.slate)


def test_every_batch_of_a_group_numbers_its_slates_from_0():
    slates = torch.tensor([[7, 7, 2, 9], [3, 1, 1, 1]])
    assert [number.tolist() for number in numbered(slates)] == [[0, 0, 1, 2], [0, 1, 1, 1]]


def test_a_pass_that_does_not_shuffle_keeps_the_order_of_the_rows():
    assert torch.cat(list(ROWS.in_slates().plan(4))).tolist() == list(range(N_ROWS))


def test_rows_without_slates_are_refused():
    data, _ = rows(n_rows=8)
    with pytest.raises(NoSlates, match="no two rows share a user and a history"):
        plan(of=data)
    with pytest.raises(NoSlates, match="train without torchrun"):
        plan_in_slates(torch.zeros(8), 4, torch.Generator(), shard=lambda index: index)
    with pytest.raises(NoSlates, match="rows of fields have no slates"):
        FieldRows(torch.zeros(2, 3, dtype=torch.int64)).in_slates()
    with pytest.raises(NoSlates, match="rows on disk"):
        StreamRows.in_slates(None)
