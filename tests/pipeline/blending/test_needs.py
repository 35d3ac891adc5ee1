"""What later stages need of the rows is named before anything is trained."""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import InputError
from features.store.store import Split
from pipeline.blending import needs
from tests.helpers.worlds import tiny_store


def test_too_few_users_outside_a_fold_are_named_with_the_stage_and_a_remedy():
    user, label = np.repeat([1, 2, 3], 2), np.tile([0, 1], 3)
    with pytest.raises(InputError, match=r"^60_blend .*fold 0 \(users: 1\).*larger folds\.n"):
        needs.check_stackers(user, label, np.repeat([0, 0, 1], 2))
    needs.check_stackers(user, label, np.repeat([0, 1, 2], 2))


def test_rows_of_test_that_nothing_tells_apart_are_refused():
    same = np.ones(3, np.int32)
    columns = {"user": np.arange(3), "likes": same, "views": same, "history": same}
    needs.check_distinct(Split(item=np.array([1, 2, 1]), **columns), with_users=False)
    needs.check_distinct(Split(item=same, **columns), with_users=True)
    with pytest.raises(InputError, match=r"rows 3, all with one item.*70_submit.*data\.dir=FOLDER"):
        needs.check_distinct(Split(item=same, **columns), with_users=False)


def test_ids_with_huge_gaps_are_refused_where_a_network_has_a_table_of_them(tmp_path):
    store = tiny_store(tmp_path)
    large = replace(store.train, user=store.train.user + 1_900_000_000)
    users = replace(store, train=large)
    needs.check_ids(users, with_users=False)
    with pytest.raises(
        InputError, match=r"user_id: .* ids, up to 19000000.*network\.user_id=false"
    ):
        needs.check_ids(users, with_users=True)
    tags = replace(store, items=replace(store.items, tags=store.items.tags * 10**8))
    with pytest.raises(InputError, match=r"item_tags: 19 different ids, up to 1900000000\. .*Ids$"):
        needs.check_ids(tags, with_users=False)
    needs.check_ids(store, with_users=True)
