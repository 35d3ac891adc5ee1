"""What 60_blend and 70_submit need of the rows: 20_folds checks it, before anything is trained."""

import numpy as np

from cv.blenders.stopping import stopping_rows
from features.errors import InputError
from features.store.store import Split


def check_stackers(user: np.ndarray, label: np.ndarray, fold: np.ndarray) -> None:
    """Raise InputError if the users outside a fold are too few for a stacker.

    user, label, fold (N,), of the rows of train.
    """
    for k in np.unique(fold):
        outside = fold != k
        if stopping_rows(user[outside], label[outside]) is None:
            n_users = len(np.unique(user[outside]))
            raise InputError(
                "60_blend fits trees on the users outside each fold, and some of these users choose"
                f" the number of trees. Outside fold {k} there are {n_users} users, who do not make"
                " two parts with both labels each: use more users, a larger folds.n, or"
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
