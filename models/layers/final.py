"""FINAL: factorised interaction layers, in one block or in two that teach each other.

    layer    h = W x + b = [g ; q],   concat: [g ; g * q]   sum: g + g * q
             then BatchNorm -> activation -> Dropout
    1B       logit = fc(block1(x))
    2B       y_i = fc_i(block_i(x)),  logit = (y_1 + y_2) / 2
    loss 2B  BCE(logit, label) + BCE(y_1, p) + BCE(y_2, p),  p = sigmoid(logit) without gradient
    gating   block1 sees [x ; x * G],  G = W_g F + b_g over the fields F of x, one map for all dims

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", sections 3.1 to 3.3
(self-distillation: 3.3). Feature gating is the published implementation's. The gate starts at 1.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.fusion import FusedLinear, fuse
from models.layers.precision import Linear
from models.settings import FinalSettings

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class FactorizedLayer(nn.Module):
    """One factorised interaction layer. Shapes: x (B, d_in) -> (B, d_out)."""

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
        return FusedFactorizedLayer(self)


class FusedFactorizedLayer(nn.Module):
    """Shapes: x (N, d_in) -> (N, d_out)."""

    def __init__(self, layer: FactorizedLayer) -> None:
        super().__init__()
        self.linear = FusedLinear(layer.linear.weight, layer.linear.bias)
        self.concat = layer.residual == "concat"

    def forward(self, x: Tensor) -> Tensor:
        gate, factor = self.linear(x).chunk(2, dim=1)
        if self.concat:
            return torch.cat((gate, gate * factor), dim=1)
        return torch.addcmul(gate, gate, factor)


class FeatureGate(nn.Module):
    """Shapes: x (B, F E), F fields of E numbers -> (B, 2 F E), the gated fields behind them."""

    def __init__(self, n_fields: int, field_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_fields, n_fields))
        self.bias = nn.Parameter(torch.ones(n_fields))
        self.shape = (n_fields, field_dim)

    def forward(self, x: Tensor) -> Tensor:
        fields = x.unflatten(1, self.shape)
        gate = self.weight @ fields + self.bias[:, None]
        return torch.cat((x, (fields * gate).flatten(1)), dim=1)


def final_block(
    d_in: int, widths: tuple[int, ...], activation: str, s: FinalSettings
) -> nn.Sequential:
    """A stack of factorised layers. Shapes: x (B, d_in) -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for before, after in zip((d_in, *widths), widths, strict=False):
        layers.append(FactorizedLayer(before, after, s.residual))
        if s.batch_norm:
            layers.append(nn.BatchNorm1d(after))
        if activation != "none":
            layers.append(ACTIVATIONS[activation]())
        layers.append(nn.Dropout(s.dropout))
    return nn.Sequential(*layers)


class FinalNetwork(nn.Module):
    """Shapes: x (B, X) -> hidden (B, sum of last widths) -> logits (B, n_blocks).

    With gating X must be fields of `field_dim` numbers each, one after the other.
    """

    def __init__(self, d_in: int, s: FinalSettings, field_dim: int = 1) -> None:
        super().__init__()
        self.gate = FeatureGate(d_in // field_dim, field_dim) if s.gating else None
        blocks = [final_block(2 * d_in if s.gating else d_in, s.block1, s.activation1, s)]
        if s.block2:
            blocks.append(final_block(d_in, s.block2, s.activation2, s))
        self.blocks = nn.ModuleList(blocks)
        self.widths = [widths[-1] for widths in (s.block1, s.block2) if widths]
        self.heads = nn.ModuleList(Linear(width, 1) for width in self.widths)
        self.distils = s.distillation and len(blocks) > 1

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))

    def hidden(self, x: Tensor) -> Tensor:
        first = x if self.gate is None else self.gate(x)
        inputs = (first, x)[: len(self.blocks)]
        return torch.cat([b(i) for b, i in zip(self.blocks, inputs, strict=True)], dim=1)

    def head(self, hidden: Tensor) -> Tensor:
        parts = hidden.split(self.widths, dim=1)
        return torch.cat([fc(part) for fc, part in zip(self.heads, parts, strict=True)], dim=1)

    def fused(self) -> nn.Module:
        """The eval mode of `forward`, the mean over the blocks. Shapes: x (N, X) -> logits (N,)."""
        return FusedFinalNetwork(self)


class FusedFinalNetwork(nn.Module):
    """Shapes: x (N, X) -> logits (N,), the mean over the blocks."""

    def __init__(self, network: FinalNetwork) -> None:
        super().__init__()
        self.gate = copy.deepcopy(network.gate)
        self.blocks = nn.ModuleList(
            fuse((*block, head)) for block, head in zip(network.blocks, network.heads, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        first = x if self.gate is None else self.gate(x)
        inputs = (first, x)[: len(self.blocks)]
        logits = [block(i) for block, i in zip(self.blocks, inputs, strict=True)]
        return torch.cat(logits, dim=1).mean(1)


def self_distillation(branches: Tensor) -> Tensor:
    """What the blocks' logits `branches` (B, n) lose against their mean, taken as teacher."""
    teacher = branches.mean(1, keepdim=True).sigmoid().detach().expand_as(branches)
    lost = F.binary_cross_entropy_with_logits(branches, teacher, reduction="none")
    return lost.mean(0).sum()
