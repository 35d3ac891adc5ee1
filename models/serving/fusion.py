"""Trained parts in eval mode with fewer operations: what serving networks are made of.

    batch norm right after a linear map     BN(W x + b) = (f W) x + (f b + c),
                                            f = gamma / sqrt(var + eps), c = beta - f mean
    batch norm elsewhere                    f x + c
    a linear map of a table's rows          another table, filled once

Folding is done in float64, whatever the network computes in.
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.final import FactorizedLayer
from models.layers.precision import by_onednn, kept_type, onednn_product

ROWS_AT_ONCE = 8192  # of a table that is filled


def take(table: Tensor, ids: Tensor) -> Tensor:
    """Rows (M, W) of `table` (I, W); twice as fast as table[ids]."""
    return table.index_select(0, ids)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b (..., H), without gradient; `weight` (H, X) must be contiguous.

    By oneDNN where it can, narrow maps too: their weights are packed only once (see Linear).
    """
    return onednn_product(x, weight, bias) if by_onednn(x) else F.linear(x, weight, bias)


def tabulate(
    rows: Tensor, weight: Tensor, dtype: torch.dtype, bias: Tensor | float = 0
) -> nn.Buffer:
    """The table (I, H) of W r + b for the rows r of `rows` (I, D)."""
    parts = rows.split(ROWS_AT_ONCE)
    return nn.Buffer(torch.cat([(part @ weight.T + bias).to(dtype) for part in parts]))


class Linear(nn.Module):
    """Shapes: x (..., X) -> (..., H).

    rounded  whether both factors are bfloat16, as models.layers.precision has it: not for H = 1,
              and only
             where oneDNN multiplies
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight.contiguous())
        self.bias = None if bias is None else nn.Buffer(bias)
        self.rounded = False
        self.packed = None  # `weight` in oneDNN's own order, which no file can hold

    def forward(self, x: Tensor) -> Tensor:
        if not by_onednn(x):
            return kept_type(x, self.weight, self.bias)
        rounded = self.rounded and len(self.weight) > 1
        if self.packed is None:
            weight = self.weight.bfloat16() if rounded else self.weight
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        if not rounded:
            return onednn_product(x, self.packed, self.bias)
        y = onednn_product(x.bfloat16(), self.packed, None).float()
        return y if self.bias is None else y.add_(self.bias)


class ScaleShift(nn.Module):
    """Shapes: x (N, X) -> (N, X)."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = nn.Buffer(scale), nn.Buffer(shift)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class Factorized(nn.Module):
    """models.layers.final's layer. Shapes: x (N, d_in) -> (N, d_out)."""

    def __init__(self, layer: FactorizedLayer) -> None:
        super().__init__()
        self.linear = Linear(layer.linear.weight, layer.linear.bias)
        self.concat = layer.residual == "concat"

    def forward(self, x: Tensor) -> Tensor:
        gate, factor = self.linear(x).chunk(2, dim=1)
        if self.concat:
            return torch.cat((gate, gate * factor), dim=1)
        return torch.addcmul(gate, gate, factor)


def scale_shift(norm: nn.Module, width: int) -> tuple[Tensor, Tensor]:
    """What batch norm, or nn.Identity, multiplies by and adds in eval mode: (width,) each."""
    if isinstance(norm, nn.Identity):
        return torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def fused(modules: Iterable[nn.Module]) -> nn.Sequential:
    """`modules`, one after the other in eval mode: without dropout, batch norm folded."""
    made: list[nn.Module] = []
    for module in modules:
        match module:
            case nn.Dropout():
                pass
            case nn.Linear():
                made.append(Linear(module.weight, module.bias))
            case FactorizedLayer():
                made.append(Factorized(module))
            case nn.BatchNorm1d():
                scale, shift = scale_shift(module, module.num_features)
                if made and isinstance(made[-1], Linear):
                    weight, bias = made[-1].weight, made[-1].bias
                    made[-1] = Linear(scale[:, None] * weight, scale * bias + shift)
                else:
                    made.append(ScaleShift(scale, shift))
            case _:
                made.append(copy.deepcopy(module))  # an activation
    return nn.Sequential(*made)
