"""Cross network v2 beside a deep tower, and an MLP over both: the winning entry's interaction.

    x_0 = x,   x_{i+1} = x_i + x_0 * (W_i x_i + b_i)         the cross network
    logit = MLP([x_n ; tower(x)])

Wang et al. 2021, "DCN V2", arXiv:2008.13535, section 3.2 (full-rank W). The winning entry uses no
batch norm.
"""

import torch
from torch import Tensor, nn

from models.layers.fusion import FusedLinear, fuse
from models.layers.mlp import hidden_layers
from models.layers.precision import Linear
from models.settings import CrossSettings


class CrossNetwork(nn.Module):
    """x_0 to x_n. Shapes: x (B, X) float32 -> (B, X)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(width, width) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        crossed = x
        for linear in self.layers:
            crossed = crossed + x * linear(crossed)
        return crossed


class CrossTower(nn.Module):
    """See the module docstring.

    Shapes: x (B, X) float32 -> hidden (B, last width) -> logits (B, 1)
    """

    def __init__(self, width: int, cfg: CrossSettings) -> None:
        super().__init__()
        self.cross = CrossNetwork(width, cfg.layers)
        self.deep = nn.Sequential(*hidden_layers(width, cfg.deep, cfg.dropout, cfg.batch_norm))
        both = width + cfg.deep[-1]
        self.over = nn.Sequential(*hidden_layers(both, cfg.hidden, cfg.dropout, cfg.batch_norm))
        self.head = Linear((both, *cfg.hidden)[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))

    def hidden(self, x: Tensor) -> Tensor:
        return self.over(torch.cat((self.cross(x), self.deep(x)), dim=1))

    def fused(self) -> nn.Module:
        """The eval mode of `forward`. Shapes: x (N, X) -> logits (N,)."""
        return FusedCrossTower(self)


class FusedCrossTower(nn.Module):
    """CrossTower in eval mode. Shapes: x (N, X) -> logits (N,)."""

    def __init__(self, tower: CrossTower) -> None:
        super().__init__()
        self.cross = nn.ModuleList(FusedLinear(m.weight, m.bias) for m in tower.cross.layers)
        self.deep = fuse(tower.deep)
        self.over = fuse((*tower.over, tower.head))

    def forward(self, x: Tensor) -> Tensor:
        crossed = x
        for linear in self.cross:
            crossed = torch.addcmul(crossed, x, linear(crossed))
        return self.over(torch.cat((crossed, self.deep(x)), dim=1)).squeeze(1)
