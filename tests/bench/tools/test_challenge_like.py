"""Generated rows and items of the challenge's shape, and labels that can be learned."""

import pytest
import torch

from bench.tools import challenge_like
from cv.auc import auc


def test_histories_may_have_one_length():
    rows, label = challenge_like.rows(4002, 64, 50, length=5)
    assert len(rows) == len(label) == 4002
    assert rows.history.bincount().tolist() == [4] * 1000 + [2]
    assert torch.equal(rows.user, rows.history)
    assert rows.begin.tolist() == list(range(0, 5001, 5))
    assert rows.end.tolist() == list(range(5, 5006, 5))
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


@pytest.fixture(scope="module")
def world():
    return challenge_like.rows(20_002, 64, 500)[0], challenge_like.items(500)


def test_one_row_per_user_is_clicked_the_same_one_for_a_seed(world):
    label = challenge_like.learnable_labels(*world)
    assert label.dtype == torch.float32
    clicks = torch.zeros(5001).index_add(0, world[0].user.long(), label)
    assert (clicks == 1).all()  # the last user, who has two rows, too
    assert torch.equal(label, challenge_like.learnable_labels(*world))
    assert not torch.equal(label, challenge_like.learnable_labels(*world, seed=1))


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5])
def test_a_last_user_with_fewer_rows_clicks_one_of_them(n_rows):
    rows, items = challenge_like.rows(n_rows, 64, 50)[0], challenge_like.items(50)
    for seed in range(9):
        label = challenge_like.learnable_labels(rows, items, seed)
        assert label[n_rows - 1 - (n_rows - 1) % 4 :].sum() == 1


def test_clicks_follow_content_levels_and_popularity(world):
    rows, items = world
    label, score = challenge_like.learnable_labels(rows, items), challenge_like.click_scores(*world)
    assert 0.83 < auc(label, score) < 0.9
    levels = rows.likes.float() - rows.views.float()
    assert 0.55 < auc(label, levels) < 0.7
    assert 0.51 < auc(label, -rows.item.float()) < 0.6
    match = score + 0.2 * torch.log(rows.item + 10.0) - 0.2 * levels
    assert 0.7 < auc(label, match) < auc(label, score)


def test_the_score_compares_the_target_with_the_mean_history(world, monkeypatch):
    rows, items = world
    monkeypatch.setattr(challenge_like, "ROWS_AT_ONCE", 7)
    rows = rows.take(torch.arange(100, 150))
    scores = challenge_like.click_scores(rows, items)
    for i in (0, 1, 49):
        number = int(rows.history[i])
        history = rows.values[rows.begin[number] : rows.end[number]].long()
        target = items.content[int(rows.item[i])]
        cosine = torch.cosine_similarity(target, items.content[history].mean(0), dim=0)
        levels = float(rows.likes[i]) - float(rows.views[i])
        expected = 6 * cosine - 0.2 * torch.log(rows.item[i] + 10.0) + 0.2 * levels
        torch.testing.assert_close(scores[i], expected)


def test_content_vectors_have_unit_length_and_a_spectrum():
    content = challenge_like.items(5000).content[1:]
    assert (content**2).sum(1).mean() == pytest.approx(1, abs=0.05)
    assert content[:, 0].std() / content[:, 9].std() == pytest.approx(10, rel=0.1)
