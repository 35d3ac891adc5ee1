"""Quadratic neural network (QNN): each layer multiplies its input by linear maps of itself.

    h_r = dropout(W_r x + b_r),  r = 1..R            the layer's bank
    q   = dropout(PReLU(BN(x * sum_r h_r)))
    x  <- x + q
    logit = w . x + b

Li et al. 2025, "Quadratic Interest Network", arXiv:2504.17699 (the Khatri-Rao form). The residual
comes last and is not normalised. The dropout inside the bank is all that makes its rows differ:
without it (and in eval) they are one matrix, sum_r W_r, and are applied as one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QuadraticLayer(nn.Module):
    """Shapes: x (B, X) -> (B, X)."""

    def __init__(self, width: int, rows: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.bank = nn.Linear(width, rows * width)  # row r of the bank: weights r X .. (r + 1) X
        self.norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.activation = nn.PReLU()
        self.dropout = nn.Dropout(dropout)
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        q = self.dropout(self.activation(self.norm(x * self.summed_bank(x))))
        return x + q

    def summed_bank(self, x: Tensor) -> Tensor:
        """(B, X): the sum over the bank's rows."""
        if self.training and self.dropout.p > 0:
            return self.dropout(self.bank(x)).unflatten(1, (self.rows, -1)).sum(1)
        weight = self.bank.weight.unflatten(0, (self.rows, -1)).sum(0)
        return F.linear(x, weight, self.bank.bias.unflatten(0, (self.rows, -1)).sum(0))


class QuadraticNetwork(nn.Module):
    """Shapes: x (B, X) -> logits (B, 1)."""

    def __init__(
        self, width: int, layers: int, rows: int, dropout: float, batch_norm: bool
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(QuadraticLayer(width, rows, dropout, batch_norm) for _ in range(layers))
        )
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layers(x))


def reference_layer(layer: QuadraticLayer, x: Tensor) -> Tensor:
    """The published formula, row by row of the bank, without dropout: the tests' reference."""
    weights = layer.bank.weight.chunk(layer.rows)
    biases = layer.bank.bias.chunk(layer.rows)
    products = [x * (x @ w.T + b) for w, b in zip(weights, biases, strict=True)]
    return x + layer.activation(layer.norm(torch.stack(products).sum(0)))
