"""Rows of several parts as one."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from models.batches.join import join
from models.batches.rows import COLUMNS, Rows
from tests.helpers.networks.small import rows

ROWS, _ = rows()
SPLIT = SimpleNamespace(**{name: getattr(ROWS, name)[:3].numpy() for name in COLUMNS})
SLICES = ROWS.beside(SPLIT, ROWS.begin.numpy(), (ROWS.end - 1).clamp(min=ROWS.begin).numpy())


def seen(part: Rows, i: int) -> list:
    """What a batch of one row holds."""
    batch = part.batch(torch.tensor([i]))
    history = batch.items[batch.history.position].tolist()
    return [int(batch.items[batch.target]), int(batch.user), int(batch.likes), history]


def test_parts_on_the_same_values_share_them():
    joined = join([ROWS, SLICES])
    assert joined.values is ROWS.values
    both = [seen(part, i) for part in (ROWS, SLICES) for i in range(len(part))]
    assert [seen(joined, i) for i in range(len(joined))] == both
    cut = [history[:-1] for *_, history in (seen(ROWS.cut(9), i) for i in range(3))]
    assert [history for *_, history in (seen(SLICES.cut(9), i) for i in range(3))] == cut


def test_parts_on_other_values_are_copied():
    other = replace(SLICES, values=SLICES.values.flip(0))
    joined = join([ROWS, other, ROWS.compact()])
    assert len(joined.values) == 2 * len(ROWS.values) + len(ROWS.compact().values)
    parts = [seen(part, i) for part in (ROWS, other, ROWS) for i in range(len(part))]
    assert [seen(joined, i) for i in range(len(joined))] == parts


def test_begin_and_end_are_one_tensor_where_histories_follow_each_other():
    after = join([ROWS.compact(), ROWS.compact()])
    assert after.begin.untyped_storage().data_ptr() == after.end.untyped_storage().data_ptr()
    columns = sum(getattr(after, name).nbytes for name in COLUMNS)
    assert after.n_bytes == columns + after.values.nbytes + 8 * (len(after.begin) + 1)


def test_weights_are_joined_and_come_with_batches():
    assert ROWS.batch(torch.arange(2)).weight is None
    ones, halves = (
        replace(part, weight=torch.full((len(part),), value))
        for part, value in ((ROWS, 1.0), (SLICES, 0.5))
    )
    joined = join([ones, halves])
    index = torch.tensor([0, len(ROWS), 3, len(ROWS) + 2])
    assert joined.batch(index).weight.tolist() == [1, 0.5, 1, 0.5]
    assert joined.take(index).weight.tolist() == [1, 0.5, 1, 0.5]
    plan = joined.plan(4)
    assert [b.weight.tolist() for b, _ in joined.read(plan, None)] == [
        joined.weight[i].tolist() for i in plan
    ]
