"""Interaction parts for serving, batch norm folded.

    qnn   x <- x + PReLU(x * y + c),   y = W x + b
          W and b are the sums over the bank's rows, times batch norm's scale; c is its shift

A layer that activates inside its bank has no such sum, and computes what it computed in training.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.cross import CrossTower
from models.layers.final import FinalNetwork
from models.layers.mlp import Mlp
from models.layers.quadratic import QuadraticLayer, QuadraticNetwork
from models.serving.fusion import Linear, fused, scale_shift


def fold_interaction(part: nn.Module) -> nn.Module:
    """The serving part for `part` of a network. Shapes: x (N, X) -> logits (N,)."""
    match part:
        case Mlp():
            return Tower(part)
        case QuadraticNetwork():
            return Quadratic(part)
        case FinalNetwork():
            return Final(part)
        case CrossTower():
            return Cross(part)
    raise TypeError(f"no serving part for {type(part).__name__}")


class Tower(nn.Module):
    def __init__(self, part: Mlp) -> None:
        super().__init__()
        self.layers = fused((*part.hidden, part.head))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class QuadraticStep(nn.Module):
    """Shapes: x (N, X), y (N, X) where it is known -> (N, X)."""

    def __init__(self, layer: QuadraticLayer) -> None:
        super().__init__()
        scale, shift = scale_shift(layer.norm, layer.bank.in_features)
        weight, bias = (p.unflatten(0, (layer.rows, -1)).sum(0) for p in layer.bank.parameters())
        self.linear = Linear(scale[:, None] * weight, scale * bias)
        self.shift = nn.Buffer(shift)
        prelu = isinstance(layer.activation, nn.PReLU)
        self.slope = layer.activation.weight.item() if prelu else 0.0

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        y = self.linear(x) if y is None else y
        return F.leaky_relu_(torch.addcmul(self.shift, x, y), self.slope).add_(x)


class Quadratic(nn.Module):
    """Shapes: x (N, X), first (N, X) or None: y of the first layer, where it is known."""

    def __init__(self, part: QuadraticNetwork) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            copy.deepcopy(layer) if layer.mid else QuadraticStep(layer) for layer in part.hidden
        )
        self.head = Linear(part.head.weight, part.head.bias)

    def forward(self, x: Tensor, first: Tensor | None = None) -> Tensor:
        x = self.steps[0](x) if first is None else self.steps[0](x, first)
        for step in self.steps[1:]:
            x = step(x)
        return self.head(x).squeeze(1)


class Final(nn.Module):
    def __init__(self, part: FinalNetwork) -> None:
        super().__init__()
        self.gate = copy.deepcopy(part.gate)
        self.blocks = nn.ModuleList(
            fused((*block, head)) for block, head in zip(part.blocks, part.heads, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        first = x if self.gate is None else self.gate(x)
        inputs = (first, x)[: len(self.blocks)]
        logits = [block(i) for block, i in zip(self.blocks, inputs, strict=True)]
        return torch.cat(logits, dim=1).mean(1)


class Cross(nn.Module):
    def __init__(self, part: CrossTower) -> None:
        super().__init__()
        self.cross = nn.ModuleList(Linear(m.weight, m.bias) for m in part.cross.layers)
        self.deep = fused(part.deep)
        self.over = fused((*part.over, part.head))

    def forward(self, x: Tensor) -> Tensor:
        crossed = x
        for linear in self.cross:
            crossed = torch.addcmul(crossed, x, linear(crossed))
        return self.over(torch.cat((crossed, self.deep(x)), dim=1)).squeeze(1)
