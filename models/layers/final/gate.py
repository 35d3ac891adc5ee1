"""FINAL's gate over fields, which the published implementation has and the paper does not.

    [x ; x * G],   G = W_g F + b_g over the fields F of x, one map for all dims

The gate starts at 1. FinalNet in FuxiCTR, by the authors of Zhu et al. 2023,
doi:10.1145/3539618.3591988.
"""

import torch
from torch import Tensor, nn


class FeatureGate(nn.Module):
    """[x ; x * G]. Shapes: x (B, F E) float32, F fields of E numbers -> (B, 2 F E)."""

    def __init__(self, n_fields: int, field_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_fields, n_fields))
        self.bias = nn.Parameter(torch.ones(n_fields))
        self.shape = (n_fields, field_dim)

    def forward(self, x: Tensor) -> Tensor:
        fields = x.unflatten(1, self.shape)
        gate = self.weight @ fields + self.bias[:, None]
        return torch.cat((x, (fields * gate).flatten(1)), dim=1)
