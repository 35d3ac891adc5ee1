"""FINAL: factorised interaction layers, in one block or in two that learn from their mean.

    layer    h = W x + b = [g ; q],   concat: [g ; g * q]   sum: g + g * q
             then BatchNorm -> activation -> Dropout
    1B       logit = fc(block1(x))
    2B       y_i = fc_i(block_i(x)),  logit = (y_1 + y_2) / 2
    loss 2B  BCE(logit, label) + BCE(y_1, p) + BCE(y_2, p),  p = sigmoid(logit) without gradient
    gating   block1 reads [x ; x * G],  G = W_g F + b_g over the fields F of x, one map for all dims

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023,
doi:10.1145/3539618.3591988, sections 3.1 to 3.3. Equation 1 is the layer (`FactorizedLayer`):

    h_1 = W_1 x + b_1,   h_i = h_(i-1) * sigma(W_i x + b_i),  i = 2..N,   x' = sum_i h_i

The self-distillation of two blocks (`self_distillation`) is section 3.3.

Departures, all of them the published implementation's: N = 2, and one linear map whose two halves
are W_1 and W_2; sigma comes behind batch norm, after the product; "concat" puts the terms of x' one
behind the other instead of adding them. Gating is in that implementation alone; the gate starts
at 1.
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
        return FusedFactorizedLayer(self)


class FusedFactorizedLayer(nn.Module):
    """FactorizedLayer in eval mode. Shapes: x (N, d_in) -> (N, d_out)."""

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
    """[x ; x * G]. Shapes: x (B, F E) float32, F fields of E numbers -> (B, 2 F E)."""

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
    d_in: int, widths: tuple[int, ...], activation: str, cfg: FinalSettings
) -> nn.Sequential:
    """A stack of factorised layers. Shapes: x (B, d_in) float32 -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for before, after in zip((d_in, *widths), widths, strict=False):
        layers.append(FactorizedLayer(before, after, cfg.residual))
        if cfg.batch_norm:
            layers.append(nn.BatchNorm1d(after))
        if activation != "none":
            layers.append(ACTIVATIONS[activation]())
        layers.append(nn.Dropout(cfg.dropout))
    return nn.Sequential(*layers)


class FinalNetwork(nn.Module):
    """See the module docstring.

    Shapes: x (B, X) float32 -> hidden (B, sum of last widths) -> logits (B, n_blocks)

    With gating, X must be fields of `field_dim` numbers each, one after the other.
    """

    def __init__(self, d_in: int, cfg: FinalSettings, field_dim: int = 1) -> None:
        super().__init__()
        self.gate = FeatureGate(d_in // field_dim, field_dim) if cfg.gating else None
        blocks = [final_block(2 * d_in if cfg.gating else d_in, cfg.block1, cfg.activation1, cfg)]
        if cfg.block2:
            blocks.append(final_block(d_in, cfg.block2, cfg.activation2, cfg))
        self.blocks = nn.ModuleList(blocks)
        self.widths = [widths[-1] for widths in (cfg.block1, cfg.block2) if widths]
        self.heads = nn.ModuleList(Linear(width, 1) for width in self.widths)
        self.distils = cfg.distillation and len(blocks) > 1

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
    """sum_i BCE(y_i, p) of the blocks' logits y_i, `branches` (B, n) float, with their mean as the
    teacher: p = sigmoid(mean_i y_i) without gradient. Returns a scalar."""
    teacher = branches.mean(1, keepdim=True).sigmoid().detach().expand_as(branches)
    lost = F.binary_cross_entropy_with_logits(branches, teacher, reduction="none")
    return lost.mean(0).sum()
