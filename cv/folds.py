"""User-grouped folds with stratified positives: a user's rows are never on both sides.

Users are shuffled by `seed`, sorted stably by (rows of the rarer class, rows), most first, and
dealt out in blocks of `n_folds`: every block gives one user to each fold, in random order. The
users of a block are alike, so that folds hardly differ in users, rows and positives.

Hand-written, because scikit-learn's StratifiedGroupKFold, which keeps the same promises, loops over
groups in Python: about 100 s for 900,000 users (0.11 ms each, 2-core CPU) against one second.
"""

import numpy as np

from features.errors import InputError


def grouped_folds(user: np.ndarray, label: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """The fold of every row, (N,) int8 in 0..n_folds-1.

    user   (N,)  any integer dtype
    label  (N,)  numeric, 0 and 1
    A user's fold depends on the users, their labels and `seed`, not on the order of the rows.
    Raises InputError for n_folds outside 2..127, fewer users than folds, or a fold with one class.
    """
    if not 2 <= n_folds <= 127:
        raise InputError(f"n_folds must be 2..127; got {n_folds}")
    n_users, label = len(np.unique(user)), np.asarray(label)
    if n_users < n_folds:
        raise InputError(
            f"{n_folds} folds need at least {n_folds} users; got {n_users}: use fewer folds,"
            " folds.n, or folds.mode=official"
        )
    fold = _dealt(user, label, n_folds, np.random.default_rng(seed))
    _check_classes(fold, label, n_folds)
    return fold


def folds_up_to(user: np.ndarray, label: np.ndarray, most: int, seed: int) -> np.ndarray | None:
    """`grouped_folds` into as many folds as have both classes each, at most `most`.

    None where not even two do. user, label: as in `grouped_folds`.
    """
    label, n_users = np.asarray(label), len(np.unique(user))
    for n_folds in range(min(most, n_users), 1, -1):
        fold = _dealt(user, label, n_folds, np.random.default_rng(seed))
        if _class_counts(fold, label, n_folds).all():
            return fold
    return None


def user_parts(
    user: np.ndarray, label: np.ndarray, fold: np.ndarray, n_parts: int, seed: int
) -> np.ndarray:
    """Each fold's users once more dealt out, to `n_parts` parts: (N,) int8 in 0..n_parts-1.

    user, label as in `grouped_folds`, whose result `fold` (N,) is
    A user's part depends on the users of its own fold, on their labels and on `seed` alone. So the
    users of one part in all folds but k are drawn without fold k.
    Raises InputError where these rows, or the other parts' rows, are of one class, for any k and
    the part k mod n_parts.
    """
    user, label, part = np.asarray(user), np.asarray(label), np.empty(len(fold), np.int8)
    folds = np.unique(fold)
    for k in folds:
        rows = fold == k
        part[rows] = _dealt(user[rows], label[rows], n_parts, np.random.default_rng((seed, k)))
    cell = np.ravel_multi_index((fold, part, label == 1), (folds[-1] + 1, n_parts, 2))
    n_rows = np.bincount(cell, minlength=(folds[-1] + 1) * n_parts * 2).reshape(-1, n_parts, 2)
    for k in folds:
        others = np.delete(n_rows, k, 0).sum(0)
        stop = others[k % n_parts]
        for counts, task in ((stop, "choose the epoch of"), (others.sum(0) - stop, "train")):
            if not counts.all():
                raise InputError(
                    f"1 user of {n_parts} chooses epochs: those that {task} fold {k}'s fits have"
                    f" {counts[1]} positives and {counts[0]} negatives, and both are needed: use"
                    " more users, another folds.stop_users, or folds.stop_users=0, with which each"
                    " fold chooses its own epochs"
                )
    return part


def _dealt(
    user: np.ndarray, label: np.ndarray, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """The fold (N,) int8 of every row."""
    users, row_user = np.unique(user, return_inverse=True)
    rarer = int(label.mean() < 0.5)
    n_rows = np.bincount(row_user)
    n_rarer = np.bincount(row_user[label == rarer], minlength=len(users))
    return _deal(n_rarer, n_rows, n_folds, rng)[row_user]


def _deal(
    n_rarer: np.ndarray, n_rows: np.ndarray, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """The fold (U,) int8 of every user, from its row counts (U,) int64."""
    shuffled = rng.permutation(len(n_rows))
    order = shuffled[np.lexsort((-n_rows[shuffled], -n_rarer[shuffled]))]
    n_blocks = -(-len(order) // n_folds)
    block = np.tile(np.arange(n_folds, dtype=np.int8), (n_blocks, 1))
    fold = np.empty(len(order), np.int8)
    fold[order] = rng.permuted(block, axis=1).ravel()[: len(order)]
    return fold


def _check_classes(fold: np.ndarray, label: np.ndarray, n_folds: int) -> None:
    counts = _class_counts(fold, label, n_folds)
    bad = np.flatnonzero((counts == 0).any(1))
    if len(bad):
        k = int(bad[0])
        raise InputError(
            f"every fold needs positives and negatives; fold {k} of {n_folds} has {counts[k, 1]}"
            f" positives and {counts[k, 0]} negatives: use fewer folds, folds.n, or more users"
        )


def _class_counts(fold: np.ndarray, label: np.ndarray, n_folds: int) -> np.ndarray:
    """Negatives and positives of each fold, int64 (n_folds, 2)."""
    cell = 2 * fold.astype(np.int64) + (label == 1)
    return np.bincount(cell, minlength=2 * n_folds).reshape(n_folds, 2)
