"""Quadratic neural network (QNN): each layer multiplies its input by linear maps of itself.

    h_r = dropout(W_r x + b_r),  r = 1..R            the layer's bank
    q   = dropout(PReLU(BN(x * sum_r h_r)))
    x  <- x + q
    logit = w . x + b

Li et al. 2025, "Quadratic Interest Network", arXiv:2504.17699 (the Khatri-Rao form). The residual
comes last and is not normalised. The dropout inside the bank is all that makes its rows differ:
without it (and in eval) they are one matrix, sum_r W_r, and are applied as one.

Departure, a setting: bank="collapsed" leaves that dropout out, and trains on the one matrix too.

Ablations, each a setting: ReLU in PReLU's place; mid-activation, q = dropout(BN(x * sum_r
PReLU(h_r))), as Li et al. 2025, arXiv:2505.17999, prefer it, whose bank cannot be summed up.
"""

import torch
from torch import Tensor, nn

from models.layers.precision import Linear, linear
from models.settings import QnnSettings


class QuadraticLayer(nn.Module):
    """Shapes: x (B, X) -> (B, X)."""

    def __init__(self, width: int, s: QnnSettings) -> None:
        super().__init__()
        self.bank = Linear(width, s.rows * width)  # row r: weights r X .. (r + 1) X
        self.norm = nn.BatchNorm1d(width) if s.batch_norm else nn.Identity()
        self.activation = nn.PReLU() if s.activation == "prelu" else nn.ReLU()
        self.dropout = nn.Dropout(s.dropout)
        self.rows = s.rows
        self.mid = s.activate == "mid"
        self.collapsed = s.bank == "collapsed"

    def forward(self, x: Tensor) -> Tensor:
        q = self.norm(x * self.summed_bank(x))
        return x + self.dropout(q if self.mid else self.activation(q))

    def summed_bank(self, x: Tensor) -> Tensor:
        """(B, X): the sum over the bank's rows."""
        if self.mid or (self.training and self.dropout.p > 0 and not self.collapsed):
            h = self.dropout(linear(x, self.bank.weight, self.bank.bias))
            h = self.activation(h) if self.mid else h
            return h.unflatten(1, (self.rows, -1)).sum(1, dtype=x.dtype)
        weight = self.bank.weight.unflatten(0, (self.rows, -1)).sum(0)
        bias = self.bank.bias.unflatten(0, (self.rows, -1)).sum(0)
        return linear(x, weight, bias).to(x.dtype)

    def reference(self, x: Tensor) -> Tensor:
        """The published formula, row by row of the bank, without dropout: the tests' reference."""
        banks = zip(self.bank.weight.chunk(self.rows), self.bank.bias.chunk(self.rows), strict=True)
        h = [x @ w.T + b for w, b in banks]
        q = self.norm(torch.stack([x * (self.activation(r) if self.mid else r) for r in h]).sum(0))
        return x + (q if self.mid else self.activation(q))


class QuadraticNetwork(nn.Module):
    """Shapes: x (B, X) -> hidden (B, X) -> logits (B, 1)."""

    def __init__(self, width: int, s: QnnSettings) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*(QuadraticLayer(width, s) for _ in range(s.layers)))
        self.head = Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))
