"""A new interaction part without a serving form, as a contributor would start one."""

import torch
from torch import Tensor, nn


class ToyInteraction(nn.Module):
    """hidden = tanh(W x), one logit. Shapes: x (B, X) -> hidden (B, 4) -> logits (B, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, 4)
        self.out = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))

    def hidden(self, x: Tensor) -> Tensor:
        return torch.tanh(self.map(x))

    def head(self, hidden: Tensor) -> Tensor:
        return self.out(hidden)
