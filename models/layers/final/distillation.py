"""FINAL's loss: its blocks learn from their mean.

    sum_i BCE(y_i, p),   p = sigmoid(mean_i y_i) without gradient

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023,
doi:10.1145/3539618.3591988, section 3.3. models.training.losses adds it to the log loss.
"""

import torch.nn.functional as F
from torch import Tensor


def self_distillation(branches: Tensor) -> Tensor:
    """The formula above, its mean over the rows. Shapes: y_i, `branches` (B, n) float -> scalar."""
    teacher = branches.mean(1, keepdim=True).sigmoid().detach().expand_as(branches)
    lost = F.binary_cross_entropy_with_logits(branches, teacher, reduction="none")
    return lost.mean(0).sum()
