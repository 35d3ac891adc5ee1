"""The loss that a network minimises. y: logits (B,), label 0 or 1; means are over the batch.

    bce          mean of log(1 + exp(y)) - label y
    bce_bpr      (1 - w) bce + w mean over pairs (positive i, negative j) of log(1 + exp(y_j - y_i))
                 (Rendle et al. 2009; pairs within the batch; 0 where the batch has one label only)
    focal        mean of (1 - p_label)^gamma times the row's log loss (Lin et al. 2017)
    contrastive  mean bce of two passes with their own dropout, plus w times the InfoNCE of the
                 passes' hidden vectors at a temperature: a row's other view against all rows' (Gao
                 et al. 2021, SimCSE), both ways; its memory grows with the square of the batch

Li et al. 2025, arXiv:2504.17699, section 2.3, tried the last three and kept the first. FINAL's
self-distillation (models.layers.final) is added to the chosen one. L2 is in models.training.fit.
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.final import self_distillation
from models.settings import FitSettings

PAIRWISE = ("bce_bpr", "contrastive")  # losses that compare rows of a batch with each other


class Learner(Protocol):
    """The part of models.network.Network and models.fields.FieldNetwork that a loss uses.

    distils        whether the branches of head() learn from their mean
    hidden(batch)  (B, H) float, of a batch of B rows
    head(hidden)   branches (B, n) float, whose mean is the logit
    """

    distils: bool

    def hidden(self, batch: Any) -> Tensor: ...
    def head(self, hidden: Tensor) -> Tensor: ...


def loss(network: Learner, batch: Any, label: Tensor, cfg: FitSettings) -> Tensor:
    """The scalar loss `cfg.loss` of `network` on `batch` with `label` (B,) float."""
    hidden = network.hidden(batch)
    total = loss_of_hidden(network, hidden, label, cfg)
    if cfg.loss != "contrastive":
        return total
    view = network.hidden(batch)
    total = (total + loss_of_hidden(network, view, label, cfg)) / 2
    return total + cfg.contrastive_weight * info_nce(hidden, view, cfg.contrastive_temperature)


def loss_of_hidden(network: Learner, hidden: Tensor, label: Tensor, cfg: FitSettings) -> Tensor:
    """The loss of one pass, from `hidden` (B, H); with the network's self-distillation."""
    branches = network.head(hidden)
    total = loss_of_logits(branches.mean(1), label, cfg)
    return total + self_distillation(branches) if network.distils else total


def loss_of_logits(logit: Tensor, label: Tensor, cfg: FitSettings) -> Tensor:
    """The log loss, or the loss that is chosen in its place."""
    match cfg.loss:
        case "focal":
            return focal(logit, label, cfg.focal_gamma)
        case "bce_bpr":
            log_loss = F.binary_cross_entropy_with_logits(logit, label)
            return (1 - cfg.bpr_share) * log_loss + cfg.bpr_share * bpr(logit, label)
        case _:
            return F.binary_cross_entropy_with_logits(logit, label)


def bpr(logit: Tensor, label: Tensor) -> Tensor:
    """Mean over all pairs of a positive and a negative row of the batch; 0 without a pair."""
    positive, negative = logit[label > 0.5], logit[label <= 0.5]
    pairs = F.softplus(negative[None, :] - positive[:, None])
    return pairs.sum() / max(pairs.numel(), 1)


def focal(logit: Tensor, label: Tensor, gamma: float) -> Tensor:
    """Mean of (1 - p)^gamma * -log p, p is the probability that the logit gives to the label."""
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
