"""A plain tower: Linear -> BatchNorm -> ReLU -> Dropout for each hidden layer; a linear output.

As in the organisers' baseline, behind DIN's attention, and in Zhou et al. 2018, with other widths.
"""

from torch import Tensor, nn

from models.layers.dropout import Dropout
from models.layers.fusion import FusedTower
from models.layers.precision import Linear


def hidden_layers(
    d_in: int, hidden: tuple[int, ...], dropout: float, batch_norm: bool
) -> list[nn.Module]:
    """The modules of the hidden layers, in order: (B, d_in) -> (B, hidden[-1])."""
    layers: list[nn.Module] = []
    for before, after in zip((d_in, *hidden), hidden, strict=False):
        layers.append(Linear(before, after))
        if batch_norm:
            layers.append(nn.BatchNorm1d(after))
        layers += [nn.ReLU(), Dropout(dropout)]
    return layers


class Mlp(nn.Module):
    """Shapes: x (B, X) float32 -> hidden (B, last width) -> logits (B, 1)."""

    def __init__(
        self, d_in: int, hidden: tuple[int, ...], dropout: float, batch_norm: bool
    ) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*hidden_layers(d_in, hidden, dropout, batch_norm))
        self.head = Linear((d_in, *hidden)[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))

    def fused(self) -> nn.Module:
        """The eval mode of `forward`. Shapes: x (N, X) -> logits (N,)."""
        return FusedTower((*self.hidden, self.head))
