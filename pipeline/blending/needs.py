"""What later stages need of the rows: 20_folds checks it, before anything is trained."""

import numpy as np

from cv.blenders.stopping import stopping_rows
from features.errors import InputError
from features.store.schema import SPLITS
from features.store.store import Split, Store

MOST_IDS = 10_000_000  # rows of a table of embeddings that ids with gaps may need
MANY_USERS = 100  # with a label, who make parts that all have it; fewer are tried
MOST_GAPS = 10  # ids up to the largest, for each id that occurs


def check_ids(store: Store, with_users: bool) -> None:
    """Raise InputError if a table with a row for every id would be huge and nearly empty.

    with_users: whether a network reads user ids. Every network reads tags.
    """
    tables = {"item_tags": [store.items.tags]}
    if with_users:
        tables["user_id"] = [getattr(store, name).user for name in SPLITS]
    for column, arrays in tables.items():
        n_rows = 1 + max(int(array.max()) for array in arrays)
        if n_rows <= MOST_IDS:
            continue
        n_ids = len(np.unique(np.concatenate([np.unique(array) for array in arrays])))
        if n_rows > MOST_GAPS * n_ids:
            off = ", or let no network read users: network.user_id=false" * (column == "user_id")
            raise InputError(
                f"{column}: {n_ids} different ids, up to {n_rows - 1}. Networks have a row of"
                f" numbers for every id up to the largest, {n_rows} rows here: number them without"
                f" gaps, as docs/data.md shows under Ids{off}"
            )


def check_stackers(user: np.ndarray, label: np.ndarray, fold: np.ndarray) -> None:
    """Raise InputError if the users outside a fold are too few for a stacker.

    user, label, fold (N,), of the rows of train.
    """
    of_fold = []  # the folds of the users with each label
    for rows in (label == 0, label == 1):
        _, first = np.unique(user[rows], return_index=True)
        of_fold.append(fold[rows][first])
    for k in np.unique(fold):
        if min(np.count_nonzero(of != k) for of in of_fold) >= MANY_USERS:
            continue
        outside = fold != k
        if stopping_rows(user[outside], label[outside]) is None:
            n_users = len(np.unique(user[outside]))
            raise InputError(
                "60_blend fits trees on the users outside each fold, and some of these users choose"
                f" the number of trees. Those outside fold {k} (users: {n_users}) do not make two"
                " parts with both labels each: use more users, a larger folds.n, or"
                " folds.mode=official, which has neither folds nor trees"
            )


def check_distinct(test: Split, with_users: bool) -> None:
    """Raise InputError if networks cannot tell the rows of test apart.

    with_users: whether a network reads user ids.
    """
    inputs = [test.item, test.likes, test.views, test.history] + [test.user] * with_users
    if all((column == column[0]).all() for column in inputs):
        raise InputError(
            f"test.parquet: rows {len(test)}, all with one item, one history and equal levels: no"
            " score can rank them, and 70_submit refuses equal scores: name a folder with other"
            " rows, data.dir=FOLDER"
        )
