"""Quadratic neural network (QNN): each layer multiplies its input by linear maps of itself.

    h_r = dropout(W_r x + b_r),  r = 1..R            the layer's bank
    q   = dropout(PReLU(BN(x * sum_r h_r)))
    x  <- x + q
    logit = w . x + b

Li et al. 2025, "Quadratic Interest Network", arXiv:2504.17699, the section on the quadratic neural
network: its recursion of x, in the Khatri-Rao form. (The printed equation numbers could not be
checked; `QuadraticLayer.reference` is the formula, row by row.) The residual is added last and is
not normalised. The dropout inside the bank is all that makes its rows differ: without it, and in
eval mode, the rows act as one matrix, sum_r W_r, and are applied as one.

Departure, a setting: bank="collapsed" has no such dropout, and trains on the one matrix too.

Ablations, each a setting: ReLU in PReLU's place; mid-activation, q = dropout(BN(x * sum_r
PReLU(h_r))), which Li et al. 2025, arXiv:2505.17999, prefer, and whose bank cannot be summed up.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import dropped_bank
from models.layers.dropout import Dropout
from models.layers.fusion import FusedLinear, scale_shift
from models.layers.precision import Linear, linear
from models.layers.residual_product import residual_product, takes
from models.settings import QnnSettings


class QuadraticLayer(nn.Module):
    """x + q. Shapes: x (B, X) float32 -> (B, X)."""

    def __init__(self, width: int, cfg: QnnSettings) -> None:
        super().__init__()
        self.bank = Linear(width, cfg.rows * width)  # row r: weights r X .. (r + 1) X
        self.norm = nn.BatchNorm1d(width) if cfg.batch_norm else nn.Identity()
        self.activation = nn.PReLU() if cfg.activation == "prelu" else nn.ReLU()
        self.dropout = Dropout(cfg.dropout)
        self.rows = cfg.rows
        self.mid = cfg.activate == "mid"
        self.collapsed = cfg.bank == "collapsed"

    def forward(self, x: Tensor) -> Tensor:
        h, p = self.summed_bank(x), self.dropout.p
        if self.training and not self.mid and takes(x, self.norm, self.activation, p):
            return residual_product(x, h, self.norm, self.activation.weight, p)
        q = self.norm(x * h)
        return x + self.dropout(q if self.mid else self.activation(q))

    def summed_bank(self, x: Tensor) -> Tensor:
        """(B, X): the sum over the bank's rows."""
        if self.mid or (self.training and self.dropout.p > 0 and not self.collapsed):
            if self.training and not self.mid and dropped_bank.takes(x, self.dropout.p):
                return dropped_bank.summed(x, self.bank.weight, self.bank.bias, self.dropout.p)
            h = self.dropout(linear(x, self.bank.weight, self.bank.bias))
            h = self.activation(h) if self.mid else h
            return h.unflatten(1, (self.rows, -1)).sum(1, dtype=x.dtype)
        weight = self.bank.weight.unflatten(0, (self.rows, -1)).sum(0)
        bias = self.bank.bias.unflatten(0, (self.rows, -1)).sum(0)
        return linear(x, weight, bias).to(x.dtype)

    def fused(self) -> nn.Module:
        """The eval mode of `forward`; with mid-activation it is as in training."""
        return copy.deepcopy(self) if self.mid else FusedQuadraticLayer(self)

    def reference(self, x: Tensor) -> Tensor:
        """The published formula without dropout, row by row; tests compare `forward` with it."""
        banks = zip(self.bank.weight.chunk(self.rows), self.bank.bias.chunk(self.rows), strict=True)
        h = [x @ w.T + b for w, b in banks]
        q = self.norm(torch.stack([x * (self.activation(r) if self.mid else r) for r in h]).sum(0))
        return x + (q if self.mid else self.activation(q))


class QuadraticNetwork(nn.Module):
    """See the module docstring. Shapes: x (B, X) float32 -> hidden (B, X) -> logits (B, 1)."""

    def __init__(self, width: int, cfg: QnnSettings) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*(QuadraticLayer(width, cfg) for _ in range(cfg.layers)))
        self.head = Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))

    def fused(self) -> nn.Module:
        """The eval mode of `forward`. Shapes: x (N, X) -> logits (N,)."""
        return FusedQuadraticNetwork(self)


class FusedQuadraticLayer(nn.Module):
    """QuadraticLayer in eval mode: x <- x + PReLU(x * y + c),   y = W x + b

    W and b are the sums over the bank's rows, times batch norm's scale; c is its shift.

    Shapes: x (N, X), y (N, X) where the caller knows it -> (N, X)
    """

    def __init__(self, layer: QuadraticLayer) -> None:
        super().__init__()
        scale, shift = scale_shift(layer.norm, layer.bank.in_features)
        weight, bias = (p.unflatten(0, (layer.rows, -1)).sum(0) for p in layer.bank.parameters())
        self.linear = FusedLinear(scale[:, None] * weight, scale * bias)
        self.shift = nn.Buffer(shift)
        prelu = isinstance(layer.activation, nn.PReLU)
        self.slope = layer.activation.weight.item() if prelu else 0.0

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        y = self.linear(x) if y is None else y
        return F.leaky_relu_(torch.addcmul(self.shift, x, y), self.slope).add_(x)


class FusedQuadraticNetwork(nn.Module):
    """QuadraticNetwork in eval mode.

    Shapes: x (N, X), first (N, X) or None: y of the first layer, where the caller knows it
    -> logits (N,)
    """

    def __init__(self, network: QuadraticNetwork) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer.fused() for layer in network.hidden)
        self.head = FusedLinear(network.head.weight, network.head.bias)

    def forward(self, x: Tensor, first: Tensor | None = None) -> Tensor:
        x = self.layers[0](x) if first is None else self.layers[0](x, first)
        for layer in self.layers[1:]:
            x = layer(x)
        return self.head(x).squeeze(1)
