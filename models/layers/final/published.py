"""FINAL's layer as its authors published it in code.

    h = W x + b = [g ; q],   concat: [g ; g * q]   sum: g + g * q

FinalNet in FuxiCTR, by the authors of Zhu et al. 2023, doi:10.1145/3539618.3591988. It departs from
equation 1 of that paper (models.layers.final.paper): N = 2, and one linear map whose two halves are
W_1 and W_2; no sigma within the product; "concat" puts the terms of x' one behind the other instead
of adding them.
"""

import torch
from torch import Tensor, nn

from models.layers.fusion import FusedLinear
from models.layers.precision import Linear


class PublishedLayer(nn.Module):
    """One factorised interaction layer. Shapes: x (B, d_in) float32 -> (B, d_out)."""

    def __init__(self, d_in: int, d_out: int, residual: str) -> None:
        super().__init__()
        self.linear = Linear(d_in, d_out if residual == "concat" else 2 * d_out)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        gate, factor = self.linear(x).chunk(2, dim=1)
        product = gate * factor
        return torch.cat((gate, product), 1) if self.residual == "concat" else gate + product

    def fused(self) -> nn.Module:
        """The eval mode of `forward`."""
        return FusedPublishedLayer(self)


class FusedPublishedLayer(nn.Module):
    """PublishedLayer in eval mode. Shapes: x (N, d_in) -> (N, d_out)."""

    def __init__(self, layer: PublishedLayer) -> None:
        super().__init__()
        self.linear = FusedLinear(layer.linear.weight, layer.linear.bias)
        self.concat = layer.residual == "concat"

    def forward(self, x: Tensor) -> Tensor:
        gate, factor = self.linear(x).chunk(2, dim=1)
        if self.concat:
            return torch.cat((gate, gate * factor), dim=1)
        return torch.addcmul(gate, gate, factor)
