"""FINAL's layer as its paper has it: equation 1, N steps.

    h_1 = W_1 x + b_1,   h_i = h_(i-1) * sigma(W_i x + b_i),  i = 2..N,   x' = sum_i h_i

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023,
doi:10.1145/3539618.3591988, equation 1. Where sigma is the identity, x' is a polynomial of degree N
in x, and a block of K such layers one of degree N^K (Figure 1 of the paper).
"""

import copy

import torch
from torch import Tensor, nn

from models.layers.fusion import FusedLinear
from models.layers.precision import Linear


class PaperLayer(nn.Module):
    """Equation 1 with N = `steps` and sigma = `activation`.

    Shapes: x (B, d_in) float32 -> (B, d_out)
    """

    def __init__(self, d_in: int, d_out: int, steps: int, activation: nn.Module) -> None:
        super().__init__()
        self.maps = nn.ModuleList(Linear(d_in, d_out) for _ in range(steps))  # W_i, b_i
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.maps
        h = total = first(x)
        for linear in others:
            h = h * self.activation(linear(x))
            total = total + h
        return total

    def fused(self) -> nn.Module:
        """The eval mode of `forward`."""
        return FusedPaperLayer(self)


class FusedPaperLayer(nn.Module):
    """PaperLayer in eval mode: one product for all maps, and the sum from its inside out,

        x' = h_1 * (1 + s_2 * (1 + ... * (1 + s_N))),   s_i = sigma(W_i x + b_i)

    Shapes: x (N, d_in) -> (N, d_out)
    """

    def __init__(self, layer: PaperLayer) -> None:
        super().__init__()
        weight = torch.cat([linear.weight for linear in layer.maps])
        self.linear = FusedLinear(weight, torch.cat([linear.bias for linear in layer.maps]))
        self.activation = copy.deepcopy(layer.activation)
        self.width = layer.maps[0].out_features

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear(x)
        first, others = h[:, : self.width], self.activation(h[:, self.width :])
        *factors, total = others.split(self.width, dim=1)
        for factor in reversed(factors):
            total = torch.addcmul(factor, factor, total)
        return torch.addcmul(first, first, total)
