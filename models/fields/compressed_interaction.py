"""Compressed interaction network (CIN): explicit interactions of a bounded degree, vector-wise.

    X^0 = the F fields;  layer k has H_k maps of E numbers
    X^k_h = sum_(i,j) W^k_(h,ij) (X^(k-1)_i * X^0_j) + b^k_h
    logit = w . [p^1 ; ... ; p^K] + b,   p^k_h = sum_d X^k_(h,d)

Lian et al. 2018, "xDeepFM", section 3.2, equations 6 and 8. As in the paper, there is no activation
between layers, and every map is both pooled and passed to the next layer.

Departure, the published implementation's: maps and logit have biases b, which the paper leaves out.
"""

import torch
from torch import Tensor, nn

from models.layers.precision import Linear


class CompressedInteraction(nn.Module):
    """CIN and its share of the logit. Shapes: fields (B, F, E) float32 -> logit (B, 1)."""

    def __init__(self, n_fields: int, maps: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(before * n_fields, after)
            for before, after in zip((n_fields, *maps), maps, strict=False)
        )
        self.out = Linear(sum(maps), 1)

    def forward(self, fields: Tensor) -> Tensor:
        first = fields.transpose(1, 2)  # (B, E, F)
        maps, pooled = first, []
        for linear in self.layers:
            pairs = (maps.unsqueeze(3) * first.unsqueeze(2)).flatten(2)  # (B, E, H F)
            maps = linear(pairs)
            pooled.append(maps.sum(1))
        return self.out(torch.cat(pooled, dim=1))
