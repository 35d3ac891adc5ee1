"""DIN's attention: an MLP weighs each history item against the target.

    w_l = MLP([t ; s_l ; t - s_l ; t * s_l])          ReLU hidden layers, one linear output
    z   = sum_l w_l s_l                               0 for an empty history

Zhou et al. 2018, "Deep Interest Network", arXiv:1706.06978, section 4.3, equation 3 (the local
activation unit), as the organisers' baseline has it: the weights are not normalised unless
`softmax`; with it, an empty history attends to its padding and gives the padding item's r(0), as
published.

Departure in arithmetic, not in value: the first layer W = [W1 W2 W3 W4] is applied as
(W1 + W3) t + (W2 - W3) s + W4 (t * s), the first term once per row and the second once per distinct
item (`reference` is the plain formula).
"""

import torch
from torch import Tensor, nn

from models.layers import ragged
from models.layers.din_hidden import hidden, takes
from models.layers.dropout import Dropout
from models.layers.mlp import hidden_layers
from models.layers.precision import Linear, linear
from models.layers.ragged import History


class DinAttention(nn.Module):
    """See the module docstring.

    Shapes:
        target   (B, D)  float32
        items    (U, D)  float32, the batch's distinct items, the padding item first
        history  positions among `items`
        returns  (B, D)
    """

    def __init__(self, d_item: int, hidden: tuple[int, ...], dropout: float, softmax: bool) -> None:
        super().__init__()
        self.first = Linear(4 * d_item, hidden[0])
        self.rest = nn.Sequential(
            nn.ReLU(),
            Dropout(dropout),
            *hidden_layers(hidden[0], hidden[1:], dropout, batch_norm=False),
            Linear(hidden[-1], 1),
        )
        self.softmax = softmax
        self.width = d_item

    def forward(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        w_target, w_item, w_difference, w_product = self.first.weight.chunk(4, dim=1)
        of_target = linear(target, w_target + w_difference).to(target.dtype) + self.first.bias
        of_item = linear(items, w_item - w_difference).to(items.dtype)  # (U, H), the other (B, H)
        p = self.rest[1].p
        if self.training and takes(items, p, history):
            first = hidden(target, items, of_target, of_item, w_product, history, p)
            return self._pool(self.rest[2:](first).squeeze(1), items, history)
        t, s = ragged.of_rows(target, history), ragged.of_items(items, history)
        first = linear(t * s, w_product)  # (T, H)
        first = first + ragged.of_rows(of_target, history) + ragged.of_items(of_item, history)
        return self._pool(self.rest(first).squeeze(1), items, history)

    def reference(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        """The published formula, entry by entry; tests compare `forward` with it."""
        t, s = target[history.row], items[history.position]
        score = self.rest(self.first(torch.cat((t, s, t - s, t * s), dim=1)))
        return self._pool(score.squeeze(1), items, history)

    def _pool(self, score: Tensor, items: Tensor, history: History) -> Tensor:
        if not self.softmax:
            return ragged.pool(score, items, history)
        pooled = ragged.pool(ragged.softmax(score, history), items, history)
        empty = history.offsets.diff() == 0
        return torch.where(empty[:, None], items[0], pooled)
