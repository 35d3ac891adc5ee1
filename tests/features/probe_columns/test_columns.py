"""Columns of 15_probe, on stores that are small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from features.probe_columns import (
    near_duplicate,
    row_history,
    tag_order,
    target_in_history,
    target_in_other_history,
)
from features.store.store import Items, Split, Store

HISTORIES = [[1, 2, 3], [3, 2, 1], [1, 2, 3, 4], [2, 2, 3], []]
ALONE = Split(
    user=np.array([9]), item=np.array([1]), likes=np.zeros(1), views=np.zeros(1),
    history=np.array([4]),
)  # fmt: skip


def rows(*described: tuple[int, int, int]) -> Split:
    """Rows of (user, history, item)."""
    user, history, item = (np.array(column, np.int32) for column in zip(*described, strict=True))
    return Split(user=user, item=item, likes=item * 0, views=item * 0, history=history)


def store(train: Split, valid: Split = ALONE, **items: np.ndarray) -> Store:
    length = [len(history) for history in HISTORIES]
    given = {"tags": np.zeros((6, 5), np.int32), "content": np.eye(6, dtype=np.float32)}
    return Store(
        train=train,
        valid=valid,
        test=ALONE,
        values=np.concatenate(HISTORIES).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(length)]),
        items=Items(**given | items),
        manifest={},
    )


def test_a_near_duplicate_is_another_item_of_the_same_content():
    content = np.eye(6, dtype=np.float32)
    content[5] = 2 * content[2]  # item 5 is item 2, longer
    split = rows((0, 0, 5), (0, 0, 2), (0, 0, 4), (0, 4, 5))
    made = store(split, content=content)
    assert near_duplicate.describe(made, split)["ui_near_duplicate"].to_list() == [1, 0, 0, 0]
    content[5] += content[4]  # cosine 0.89
    made = replace(made, items=replace(made.items, content=content))
    assert near_duplicate.describe(made, split)["ui_near_duplicate"].to_list() == [0, 0, 0, 0]


def test_the_target_in_another_history_counts_whatever_split_that_is_in():
    split = rows((0, 0, 4), (0, 2, 4), (1, 0, 4), (2, 0, 4), (2, 0, 1))
    made = store(split, valid=rows((2, 2, 5)))
    other = target_in_other_history.describe(made, split)["ui_in_other_history"].to_list()
    own = target_in_history.describe(made, split)["ui_in_history"].to_list()
    assert other == [1, 0, 0, 1, 0]  # user 1 never has item 4 in a history
    assert own == [0, 1, 0, 0, 1]


def test_row_histories_are_compared_with_the_users_most_frequent_one():
    split = rows((0, 0, 4), (0, 0, 5), (0, 1, 5), (1, 0, 4), (1, 0, 5))
    described = row_history.describe(store(split), split)
    assert described["h_length_step"].to_list() == [0] * 5
    assert described["h_alike"].to_list() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1, 1])
    assert described["h_agrees"].to_list() == pytest.approx([1, 1, 1 / 3, 1, 1])
    assert described["h_reversed"].to_list() == pytest.approx([1 / 3, 1 / 3, 1, 1, 1])


def test_row_histories_of_other_lengths_and_with_repeated_items():
    split = rows((0, 0, 5), (0, 0, 5), (0, 2, 5), (0, 3, 5), (0, 4, 5))
    described = row_history.describe(store(split), split)
    assert described["h_length_step"].to_list() == pytest.approx([0.4, 0.4, 1.4, 0.4, -2.6])
    assert described["h_repeated_step"].to_list() == pytest.approx([-0.2, -0.2, -0.2, 0.8, -0.2])
    assert described["h_agrees"].to_list() == pytest.approx([1, 1, 0, 2 / 3, 0])


def test_tags_are_in_order_or_not():
    tags = np.array([[0] * 5, [0, 0, 3, 4, 9], [0, 9, 4, 3, 0], [7, 0, 0, 0, 0], [4, 9, 3, 0, 0]])
    split = rows(*((0, 0, item) for item in range(5)))
    described = tag_order.describe(store(split, tags=tags), split)
    assert described["i_tags"].to_list() == [0, 3, 3, 1, 3]
    assert described["i_tag_descents"].to_list() == [0, 0, 2, 0, 1]
    assert described["i_first_tag_rank"].to_list() == [0, 0, 2, 0, 1]
