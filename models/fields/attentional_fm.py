"""Attentional factorisation machine (AFM): attention says how much each pair of fields counts.

    e_ij  = h . ReLU(W (v_i * v_j) + b),   a = softmax of e over the pairs i < j
    logit = p . sum_(i<j) a_ij (v_i * v_j)

Xiao et al. 2017, "Attentional Factorization Machines", arXiv:1708.04617, equations 4 to 6. Equation
6 also has the first order b + sum_i w_i, which is models.fields.network's.

Departure, the published implementation's: the weights a have dropout of their own; the paper drops
parts of the weighted sum alone.
"""

import torch
from torch import Tensor, nn

from models.fields.settings import AfmSettings
from models.layers.dropout import Dropout
from models.layers.precision import Linear

CHUNK = 128  # rows whose pairs stay in a processor's cache


class AttentionalPairs(nn.Module):
    """The pairs' part of the logit. Shapes: fields (B, F, E) float32, F > 1 -> logit (B, 1)."""

    def __init__(self, n_fields: int, width: int, cfg: AfmSettings) -> None:
        super().__init__()
        left, right = torch.triu_indices(n_fields, n_fields, offset=1)  # (F (F - 1) / 2,) each
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("right", right, persistent=False)
        self.attention = Linear(width, cfg.width)
        self.score = Linear(cfg.width, 1, bias=False)
        self.out = Linear(width, 1, bias=False)
        self.dropout = Dropout(cfg.dropout)
        self.pooled_dropout = Dropout(cfg.pooled_dropout)

    def forward(self, fields: Tensor) -> Tensor:
        rows = CHUNK if fields.device.type == "cpu" else len(fields)
        return torch.cat([self._logit(chunk) for chunk in fields.split(rows)])

    def _logit(self, fields: Tensor) -> Tensor:
        pairs = fields.index_select(1, self.left) * fields.index_select(1, self.right)  # (B, P, E)
        weight = self.score(self.attention(pairs).relu()).softmax(1)  # (B, P, 1)
        pooled = (self.dropout(weight) * pairs).sum(1)
        return self.out(self.pooled_dropout(pooled))
