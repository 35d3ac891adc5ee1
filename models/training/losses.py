"""The loss that a network minimises. y: logits (B,), label 0 or 1; means are over the batch.

    bce          mean of c (log(1 + exp(y)) - label y); c is 1, and fit.prefix_decay^(rank + 1) of
                 a row of a prefix (features.prefixes)
    bce_bpr      (1 - w) bce + w mean over pairs (positive i, negative j) of log(1 + exp(y_j - y_i))
                 (Rendle et al. 2009; pairs within the batch; 0 where the batch has one label only)
    listwise     (1 - w) bce + w mean over slates of sum_i t_i (log sum_j exp y_j - y_i)
                 (ListNet's top one, Cao et al. 2007; a slate is the rows of equal user and history;
                 t_i = label_i / its clicks; not counted without a click or with one row)
    focal        mean of (1 - p_label)^gamma times the row's log loss (Lin et al. 2017)
    contrastive  mean bce of two passes with their own dropout, plus w times the InfoNCE of the
                 passes' hidden vectors at a temperature: a row's other view against all rows' (Gao
                 et al. 2021, SimCSE), both ways; its memory grows with the square of the batch

With label_smoothing = e, the log loss of all but focal takes (1 - e) label + e / 2 for the label
(Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", section 7); pairs
and slates keep their labels.

Li et al. 2025, arXiv:2504.17699, section 2.3, tried the last three and kept the first. FINAL's
self-distillation (models.layers.final.distillation) is added to the chosen one. L2 is in
models.training.fit.
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.fit_settings import FitSettings
from models.layers.final.distillation import self_distillation

BETWEEN_ROWS = (
    "bce_bpr",
    "listwise",
    "contrastive",
)  # losses that compare rows of a batch with each other


class Learner(Protocol):
    """The part of models.network.Network and models.fields.network.FieldNetwork that a loss uses.

    distils        whether the branches of head() learn from their mean
    hidden(batch)  (B, H) float, of a batch of B rows
    head(hidden)   branches (B, n) float, whose mean is the logit
    """

    distils: bool

    def hidden(self, batch: Any) -> Tensor: ...
    def head(self, hidden: Tensor) -> Tensor: ...


def loss(network: Learner, batch: Any, label: Tensor, cfg: FitSettings) -> Tensor:
    """The scalar loss `cfg.loss` of `network` on `batch` with `label` (B,) float.

    listwise needs batches that number their slates: models.batches.source.BatchSource.in_slates;
    a log loss that weighs rows (models.fit_settings), batches that have their weights.
    """
    hidden = network.hidden(batch)
    total = loss_of_hidden(network, hidden, label, cfg, batch)
    if cfg.loss != "contrastive":
        return total
    view = network.hidden(batch)
    total = (total + loss_of_hidden(network, view, label, cfg, batch)) / 2
    return total + cfg.contrastive_weight * info_nce(hidden, view, cfg.contrastive_temperature)


def loss_of_hidden(
    network: Learner, hidden: Tensor, label: Tensor, cfg: FitSettings, batch: Any
) -> Tensor:
    """The loss of one pass, from `hidden` (B, H); with the network's self-distillation."""
    branches = network.head(hidden)
    total = loss_of_logits(branches.mean(1), label, cfg, batch)
    return total + self_distillation(branches) if network.distils else total


def loss_of_logits(logit: Tensor, label: Tensor, cfg: FitSettings, batch: Any) -> Tensor:
    """The log loss, or the loss that is chosen in its place."""
    match cfg.loss:
        case "focal":
            return focal(logit, label, cfg.focal_gamma)
        case "bce_bpr":
            share = cfg.bpr_share
            return (1 - share) * log_loss(logit, label, cfg) + share * bpr(logit, label)
        case "listwise":
            share = cfg.listwise_share
            slates = listwise(logit, label, batch.slate)
            return (1 - share) * log_loss(logit, label, cfg) + share * slates
        case _:
            return log_loss(logit, label, cfg, batch.weight if cfg.weighs_rows else None)


def log_loss(
    logit: Tensor, label: Tensor, cfg: FitSettings, weight: Tensor | None = None
) -> Tensor:
    """The mean over rows of the log loss times the row's `weight` (B,), of smoothed labels where
    that is set."""
    if cfg.label_smoothing:
        label = (1 - cfg.label_smoothing) * label + cfg.label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logit, label, weight)


def bpr(logit: Tensor, label: Tensor) -> Tensor:
    """Mean over all pairs of a positive and a negative row of the batch; 0 without a pair."""
    positive, negative = logit[label > 0.5], logit[label <= 0.5]
    pairs = F.softplus(negative[None, :] - positive[:, None])
    return pairs.sum() / max(pairs.numel(), 1)


def listwise(logit: Tensor, label: Tensor, slate: Tensor) -> Tensor:
    """Mean over slates of the cross-entropy between the clicks' shares and a softmax of the logits.

    Only slates with a click and a second row count; 0 where there is none.

    Shapes: logit, label (B,) float; slate (B,) int64, the number of each row's slate, below B
    """

    def totals(value: Tensor) -> Tensor:
        """(B,): the sum of `value` (B,) over the rows of each slate, by its number."""
        return torch.zeros_like(value).index_add(0, slate, value)

    highest = logit.new_full((len(logit),), -torch.inf)
    highest = highest.scatter_reduce(0, slate, logit.detach(), "amax")[slate]
    log_share = logit - highest - totals((logit - highest).exp())[slate].log()
    clicks, size = totals(label), totals(torch.ones_like(label))
    counts = (clicks > 0) & (size > 1)
    target = label * (counts / clicks.clamp(min=1))[slate]
    return -(target * log_share).sum() / counts.sum().clamp(min=1)


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
