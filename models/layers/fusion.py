"""Modules in eval mode as fewer operations, with the same result up to rounding.

    batch norm right after a linear map     BN(W x + b) = (f W) x + (f b + c),
                                            f = gamma / sqrt(var + eps), c = beta - f mean
    batch norm elsewhere                    f x + c
    dropout                                 nothing

A part whose eval mode can be computed with fewer operations has a method `fused()` that returns a
module for it; predictions and serving use that module where there is one. Fuse in float64, whatever
the network computes in, and convert the result.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.layers import onednn
from models.layers.precision import linear_as_input, onednn_takes


class FusedLinear(nn.Module):
    """W x + b. Shapes: x (..., X) -> (..., H).

    rounded  whether both factors are rounded to bfloat16 (see models.layers.precision); this needs
             H > 1 and oneDNN
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight.contiguous())
        self.bias = None if bias is None else nn.Buffer(bias)
        self.rounded = False
        self.packed: Tensor | None = None  # `weight` in oneDNN's layout, made at the first product

    def forward(self, x: Tensor) -> Tensor:
        if not onednn_takes(x):
            return linear_as_input(x, self.weight, self.bias)
        rounded = self.rounded and len(self.weight) > 1
        if self.packed is None:
            self.packed = onednn.pack(self.weight.bfloat16() if rounded else self.weight)
        if not rounded:
            return onednn.product(x, self.packed, self.bias)
        y = onednn.product(x.bfloat16(), self.packed).float()
        return y if self.bias is None else y.add_(self.bias)


class ScaleShift(nn.Module):
    """f x + c. Shapes: x (N, X) -> (N, X)."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = nn.Buffer(scale), nn.Buffer(shift)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class FusedTower(nn.Module):
    """`modules`, fused, the last of which has a single output. Shapes: x (N, X) -> logits (N,)."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = fuse(modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


def scale_shift(norm: nn.Module, width: int) -> tuple[Tensor, Tensor]:
    """f and c (width,) of batch norm in eval mode; 1 and 0 for nn.Identity."""
    if isinstance(norm, nn.Identity):
        return torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def fuse(modules: Iterable[nn.Module]) -> nn.Sequential:
    """`modules`, one after the other in eval mode: without dropout, batch norm fused."""
    fused: list[nn.Module] = []
    for module in modules:
        match module:
            case nn.Dropout():
                pass
            case nn.Linear():
                fused.append(FusedLinear(module.weight, module.bias))
            case nn.BatchNorm1d():
                scale, shift = scale_shift(module, module.num_features)
                if fused and isinstance(fused[-1], FusedLinear):
                    weight, bias = fused[-1].weight, fused[-1].bias
                    fused[-1] = FusedLinear(scale[:, None] * weight, scale * bias + shift)
                else:
                    fused.append(ScaleShift(scale, shift))
            case _:
                form = fused_form(module)
                fused.append(copy.deepcopy(module) if form is None else form)
    return nn.Sequential(*fused)


def fused_form(module: nn.Module) -> nn.Module | None:
    """`module.fused()`, or None where it has no such method."""
    fused = getattr(module, "fused", None)
    return None if fused is None else fused()
