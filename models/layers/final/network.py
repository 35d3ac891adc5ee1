"""FINAL: factorised interaction layers, in one block or in two that learn from their mean.

    1B       logit = fc(block1(x))
    2B       y_i = fc_i(block_i(x)),  logit = (y_1 + y_2) / 2
    loss 2B  BCE(logit, label) + BCE(y_1, p) + BCE(y_2, p),  p = sigmoid(logit) without gradient
    gating   block1 reads [x ; x * G],  G a gate over the fields of x

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023,
doi:10.1145/3539618.3591988, sections 3.1 to 3.3. The layer is the published implementation's or the
paper's equation 1 (models.layers.final.published, .paper), blocks are models.layers.final.block,
the gate, which that implementation alone has, is .gate, and the loss is .distillation.
"""

import copy

import torch
from torch import Tensor, nn

from models.layers.final.block import final_block
from models.layers.final.gate import FeatureGate
from models.layers.fusion import fuse
from models.layers.precision import Linear
from models.settings import FinalSettings


class FinalNetwork(nn.Module):
    """See the module docstring.

    Shapes: x (B, X) float32 -> hidden (B, sum of last widths) -> logits (B, n_blocks)

    With gating, X must be fields of `field_dim` numbers each, one after the other.
    """

    def __init__(self, d_in: int, cfg: FinalSettings, field_dim: int = 1) -> None:
        super().__init__()
        self.gate = FeatureGate(d_in // field_dim, field_dim) if cfg.gating else None
        first, second = cfg.dropouts
        width = 2 * d_in if cfg.gating else d_in
        blocks = [final_block(width, cfg.block1, cfg.activation1, first, cfg)]
        if cfg.block2:
            blocks.append(final_block(d_in, cfg.block2, cfg.activation2, second, cfg))
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
