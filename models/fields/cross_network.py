"""The cross networks of DCN and DCN V2, with their part of the logit: degree n + 1 in n layers.

    first version    x_(i+1) = x_0 (w_i . x_i) + b_i + x_i
    V2, full rank    x_(i+1) = x_0 * (W_i x_i + b_i) + x_i
    V2, mixture      x_(i+1) = sum_k G_k(x_i) E_k(x_i) + x_i,   G = softmax(G_i x_i)
                     E_k(x)  = x_0 * (U_k tanh(C_k tanh(V_k^T x)) + b_i)
    logit = w . x_n,   x_0 = [v_1 ; ... ; v_F]

Wang et al. 2017, "Deep & Cross Network for Ad Click Predictions", arXiv:1708.05123, equation 3;
Wang et al. 2021, "DCN V2", arXiv:2008.13535, section 3.2, and for the mixture its section on
cost-effective low-rank experts. The layers of full rank are models.layers.cross, which other
networks share. Each layer of the mixture has experts and gates of its own.

Departure: the last linear map over [x_n ; deep] is written as the sum of two maps, which changes
nothing but the scale of the initial weights, each Xavier-normal for its own width. Its bias is the
deep part's; `bias` gives it one where there is no deep part.
"""

import torch
from torch import Tensor, nn

from models.fields.settings import CrossV2Settings
from models.layers.cross import CrossNetwork
from models.layers.precision import Linear, exact


class FirstCrossNetwork(nn.Module):
    """DCN's cross layers. Shapes: fields (B, F, E) float32, X = F E -> logit (B, 1)."""

    def __init__(self, width: int, layers: int, bias: bool = False) -> None:
        super().__init__()
        self.weights = nn.ModuleList(Linear(width, 1, bias=False) for _ in range(layers))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(layers))
        self.out = Linear(width, 1, bias=bias)

    def forward(self, fields: Tensor) -> Tensor:
        x = crossed = fields.flatten(1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            crossed = x * weight(crossed) + bias + crossed
        return self.out(crossed)


class SecondCrossNetwork(nn.Module):
    """DCN V2's cross layers. Shapes: fields (B, F, E) float32, X = F E -> logit (B, 1)."""

    def __init__(self, width: int, cfg: CrossV2Settings, bias: bool = False) -> None:
        super().__init__()
        if cfg.experts:
            self.cross = nn.ModuleList(
                MixtureLayer(width, cfg.experts, cfg.rank) for _ in range(cfg.layers)
            )
        else:
            self.cross = CrossNetwork(width, cfg.layers)
        self.out = Linear(width, 1, bias=bias)

    def forward(self, fields: Tensor) -> Tensor:
        x = fields.flatten(1)
        if isinstance(self.cross, CrossNetwork):
            return self.out(self.cross(x))
        crossed = x
        for layer in self.cross:
            crossed = layer(x, crossed)
        return self.out(crossed)


class MixtureLayer(nn.Module):
    """A layer of K low-rank experts. Shapes: first, x (B, X) float32 -> (B, X)."""

    def __init__(self, width: int, experts: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(experts, width, rank))  # V
        self.core = nn.Parameter(torch.empty(experts, rank, rank))  # C
        self.up = nn.Parameter(torch.empty(experts, rank, width))  # U^T
        self.bias = nn.Parameter(torch.zeros(width))
        self.gate = Linear(width, experts, bias=False)
        for stack in (self.down, self.core, self.up):
            for matrix in stack:
                nn.init.xavier_normal_(matrix)

    def forward(self, first: Tensor, x: Tensor) -> Tensor:
        with exact(x):
            inner = torch.einsum("bx,kxr->bkr", x, self.down).tanh()
            inner = torch.einsum("bkr,ksr->bks", inner, self.core).tanh()
            expert = torch.einsum("bkr,krx->bkx", inner, self.up) + self.bias
            mixed = torch.einsum("bk,bkx->bx", self.gate(x).softmax(1), expert)
        return first * mixed + x
