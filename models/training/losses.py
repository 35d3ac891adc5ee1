"""What a network minimises. y: logits (B,), label 0 or 1; means are over the batch.

    bce          mean of log(1 + exp(y)) - label y
    bce_bpr      (1 - w) bce + w mean over pairs (positive i, negative j) of log(1 + exp(y_j - y_i))
                 (Rendle et al. 2009; pairs within the batch; 0 where one of the labels is absent)
    focal        mean of (1 - p_label)^gamma times the row's log loss (Lin et al. 2017)
    contrastive  mean bce of two passes with their own dropout, plus w times the InfoNCE of the
                 passes' hidden vectors at a temperature: a row's other view against all rows' (Gao
                 et al. 2021, SimCSE), both ways; its memory grows with the square of the batch

Li et al. 2025, arXiv:2504.17699, section 2.3, tried the last three and kept the first. FINAL's
self-distillation is added to whichever is chosen. L2 is not here: see models.training.fit.
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.final import self_distillation
from models.settings import FitSettings

PAIRING = ("bce_bpr", "contrastive")  # compare rows of a batch with each other


class Learner(Protocol):
    """What a loss needs of models.network.Network, or of models.fields.FieldNetwork.

    distils        whether the columns of head() learn from their mean
    hidden(batch)  (B, H) float, of a batch of B rows
    head(hidden)   branches (B, n) float, whose mean is the logit
    """

    distils: bool

    def hidden(self, batch: Any) -> Tensor: ...
    def head(self, hidden: Tensor) -> Tensor: ...


def loss(network: Learner, batch: Any, label: Tensor, s: FitSettings) -> Tensor:
    """The scalar that `s.loss` names, of `network` on `batch` with `label` (B,) float."""
    hidden = network.hidden(batch)
    lost = of_hidden(network, hidden, label, s)
    if s.loss != "contrastive":
        return lost
    view = network.hidden(batch)
    lost = (lost + of_hidden(network, view, label, s)) / 2
    return lost + s.contrastive_weight * info_nce(hidden, view, s.contrastive_temperature)


def of_hidden(network: Learner, hidden: Tensor, label: Tensor, s: FitSettings) -> Tensor:
    """What one pass of the network loses, from `hidden` (B, H); its self-distillation included."""
    branches = network.head(hidden)
    lost = of_logits(branches.mean(1), label, s)
    return lost + self_distillation(branches) if network.distils else lost


def of_logits(logit: Tensor, label: Tensor, s: FitSettings) -> Tensor:
    """The log loss, or what is chosen in its place."""
    match s.loss:
        case "focal":
            return focal(logit, label, s.focal_gamma)
        case "bce_bpr":
            log_loss = F.binary_cross_entropy_with_logits(logit, label)
            return (1 - s.bpr_share) * log_loss + s.bpr_share * bpr(logit, label)
        case _:
            return F.binary_cross_entropy_with_logits(logit, label)


def bpr(logit: Tensor, label: Tensor) -> Tensor:
    """Mean over all pairs of a positive and a negative row of the batch; 0 without any pair."""
    positive, negative = logit[label > 0.5], logit[label <= 0.5]
    pairs = F.softplus(negative[None, :] - positive[:, None])
    return pairs.sum() / max(pairs.numel(), 1)


def focal(logit: Tensor, label: Tensor, gamma: float) -> Tensor:
    """Mean of (1 - p)^gamma * -log p, p the probability given to the row's own label."""
    log_loss = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
    other = F.binary_cross_entropy_with_logits(logit, 1 - label, reduction="none")
    return (torch.exp(-gamma * other) * log_loss).mean()  # exp(-other) = 1 - p_label, never 0


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Mean of both directions' cross entropy of finding a row's other view, by cosine similarity.

    Shapes: a, b (B, H) float, row i of both is the same row
    """
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    own = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
