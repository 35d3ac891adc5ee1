"""SAM3A: self-attention without softmax, whose values are learned vectors for each pair of fields.

    s_ij = <f_i, K f_j>,   f'_i = sum_j s_ij w_ij + Q f_i;   the next layer reads f'
    logit = u . [f'_1 ; ... ; f'_F] + b                      pooling = concat
    logit = u . sum_i c_i f'_i + b                           pooling = weighted

Cheng & Xue 2021, "Looking at CTR Prediction Again: Is Attention All You Need?", arXiv:2105.05563,
model SAM3A: the values w_ij are learned and not products of the fields (which SAM3E takes).

Departures, the published implementation's: w_ij and c_i begin at 1; each layer may end with
dropout.
"""

import torch
from torch import Tensor, nn

from models.fields.settings import SamSettings
from models.layers.dropout import Dropout
from models.layers.precision import Linear, exact


class SamLayer(nn.Module):
    """One layer. Shapes: fields (B, F, E) float32 -> (B, F, E)."""

    def __init__(self, n_fields: int, width: int, cfg: SamSettings) -> None:
        super().__init__()
        self.pairs = nn.Parameter(torch.ones(n_fields, n_fields, width))
        self.key = Linear(width, width, bias=False)
        self.residual = Linear(width, width, bias=False) if cfg.residual else None
        self.dropout = Dropout(cfg.dropout)

    def forward(self, fields: Tensor) -> Tensor:
        key = self.key(fields)
        with exact(fields):
            score = fields @ key.transpose(1, 2)  # (B, F, F)
            out = torch.einsum("bij,ije->bie", score, self.pairs)
        if self.residual is not None:
            out = out + self.residual(fields)
        return self.dropout(out)


class SelfAttentionModel(nn.Module):
    """See the module docstring. Shapes: fields (B, F, E) float32 -> logit (B, 1)."""

    def __init__(self, n_fields: int, width: int, cfg: SamSettings) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(SamLayer(n_fields, width, cfg) for _ in range(cfg.layers)))
        weighted = cfg.pooling == "weighted"
        self.weight = nn.Parameter(torch.ones(n_fields, 1)) if weighted else None
        self.out = Linear(width if weighted else n_fields * width, 1)

    def forward(self, fields: Tensor) -> Tensor:
        fields = self.layers(fields)
        if self.weight is None:
            return self.out(fields.flatten(1))
        return self.out((fields * self.weight).sum(1))
