"""FINAL: factorised interaction layers, in one block or in two that teach each other.

    layer    h = W x + b = [g ; q],   concat: [g ; g * q]   sum: g + g * q
             then BatchNorm -> Dropout
    1B       logit = fc(block1(x))
    2B       y_i = fc_i(block_i(x)),  logit = (y_1 + y_2) / 2
    loss 2B  BCE(logit, label) + BCE(y_1, p) + BCE(y_2, p),  p = sigmoid(logit) without gradient

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", sections 3.1 to 3.3
(self-distillation: 3.3). The published networks use no activation between layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FactorizedLayer(nn.Module):
    """One factorised interaction layer. Shapes: x (B, d_in) -> (B, d_out)."""

    def __init__(self, d_in: int, d_out: int, residual: str) -> None:
        super().__init__()
        self.linear = nn.Linear(d_in, d_out if residual == "concat" else 2 * d_out)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        gate, factor = self.linear(x).chunk(2, dim=1)
        product = gate * factor
        return torch.cat((gate, product), 1) if self.residual == "concat" else gate + product


class FinalNetwork(nn.Module):
    """Shapes: x (B, X) -> logits (B, n_blocks), one column a block."""

    def __init__(
        self,
        d_in: int,
        blocks: tuple[tuple[int, ...], ...],
        residual: str,
        dropout: float,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for widths in blocks:
            layers: list[nn.Module] = []
            for before, after in zip((d_in, *widths), widths, strict=False):
                layers.append(FactorizedLayer(before, after, residual))
                if batch_norm:
                    layers.append(nn.BatchNorm1d(after))
                layers.append(nn.Dropout(dropout))
            self.blocks.append(nn.Sequential(*layers, nn.Linear(widths[-1], 1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([block(x) for block in self.blocks], dim=1)


def self_distillation(branches: Tensor) -> Tensor:
    """What the blocks' logits `branches` (B, n) lose against their mean, taken as teacher."""
    teacher = branches.mean(1, keepdim=True).sigmoid().detach().expand_as(branches)
    lost = F.binary_cross_entropy_with_logits(branches, teacher, reduction="none")
    return lost.mean(0).sum()
