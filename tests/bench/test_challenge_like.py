"""Generated rows and items of the challenge's shape."""

import torch

from bench import challenge_like


def test_histories_may_have_one_length():
    rows, label = challenge_like.rows(4002, 64, 50, length=5)
    assert len(rows) == len(label) == 4002
    assert rows.history.bincount().tolist() == [4] * 1000 + [2]
    assert torch.equal(rows.user, rows.history)
    assert rows.offsets.tolist() == list(range(0, 5006, 5))
    assert len(rows.values) == 5005
    for items in (rows.item, rows.values):
        count = items.bincount(minlength=50)
        assert (len(count), count[0]) == (50, 0)
        assert count[1:].min() > 0
        assert count[1:6].sum() > 2 * count[-5:].sum()  # popular ones first
    assert 0.2 < label.mean() < 0.3
    batch = rows.batch(torch.arange(8))
    assert batch.history.offsets.tolist() == list(range(0, 45, 5))
    items = challenge_like.items(50)
    assert (items.tags[0].sum(), items.content[0].abs().sum()) == (0, 0)
    assert len(items.tags) == rows.n_items
