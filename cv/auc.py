"""Exact area under the ROC curve, ties counted half.

    AUC = Σ_g p_g (n_<g + n_g / 2) / (P N)

over the groups g of equal scores: p_g positives and n_g negatives in the group, n_<g negatives
below it, P and N in all. This is the rank-sum (Mann-Whitney) formula with mid-ranks. Everything is
counted in int64 and divided once, so the result is the correctly rounded value of the fraction.

Hand-written, because scikit-learn's roc_auc_score adds up floats, and on the CPU only: this one is
exact, and runs on the device where the scores are.

Fawcett 2006, "An introduction to ROC analysis", Pattern Recognition Letters 27, section 7.
"""

import numpy as np
import torch
from torch import Tensor


def auc(label: Tensor | np.ndarray, score: Tensor | np.ndarray) -> float:
    """The chance that a random positive scores above a random negative.

    label  (N,)  any numeric dtype or bool, values 0 and 1
    score  (N,)  any float dtype; ±inf are ordered like other values
    Tensors are sorted on the device of `score`, arrays on the CPU.
    Raises ValueError for shapes that differ, a NaN score, other labels, or one class only.
    """
    scores = _tensor(score)
    labels = _tensor(label).to(scores.device)
    _check(labels, scores)
    ascending, order = torch.sort(scores)
    positives = torch.cumsum(labels[order] == 1, 0)  # (N,) int64
    _, size = torch.unique_consecutive(ascending, return_counts=True)
    end = torch.cumsum(size, 0)  # rows up to and including each group of equal scores
    p = torch.diff(positives[end - 1], prepend=positives.new_zeros(1))
    n = size - p
    below = torch.cumsum(n, 0) - n
    n_positive, n_negative = int(p.sum()), int(n.sum())
    if not n_positive or not n_negative:
        raise ValueError(
            f"AUC needs both classes; got {n_positive} positives and {n_negative} negatives"
        )
    return int((p * (2 * below + n)).sum()) / (2 * n_positive * n_negative)


def _tensor(x: Tensor | np.ndarray) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return torch.from_numpy(np.require(x, requirements=["C", "W"]))  # copies a read-only mmap


def _check(label: Tensor, score: Tensor) -> None:
    if label.ndim != 1 or label.shape != score.shape:
        raise ValueError(
            f"label and score must both be (N,); got {tuple(label.shape)} and {tuple(score.shape)}"
        )
    n_nan = int(torch.isnan(score).sum())
    if n_nan:
        raise ValueError(f"scores must be numbers; got {n_nan} NaN among {len(score)}")
    n_other = int(((label != 0) & (label != 1)).sum())
    if n_other:
        raise ValueError(f"labels must be 0 or 1; got {n_other} others among {len(label)}")
