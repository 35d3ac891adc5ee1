"""Adaptive sparse target attention (ASTA): only history items that match the target count.

    score_l = (W_q t) . (W_k s_l) / sqrt(A)
    z       = t + W_o sum_l ReLU(score_l) W_v s_l

Li et al. 2025, "Quadratic Interest Network", arXiv:2504.17699, the section on adaptive sparse
target attention:

    Q = W_q x_t,  K = W_k x_b,  V = W_v x_b          target t = x_t, history s = x_b, width A = d_a
    o = ReLU(Q K^T / sqrt(d_a)) V + x_t

(The printed equation numbers could not be checked; `SparseTargetAttention.reference` is the
formula, entry by entry.) W_o is the published implementation's. There is no softmax and no division
by the length, so that a weight may be exactly 0. An empty history gives the target itself. The
scale is the root of the attention width A, not of the item's width D.

The paper's ablations, each a setting: softmax over the row's entries in ReLU's place (an empty
history still gives t), ReLU(score)^2, SiLU(score), dropout of the weights.

Beyond the paper, settings too:

    sigmoid(score_l);  ReLU(score_l + c), c one learned number
    position: score_l + b_age(l) in score_l's place, b one learned number for each age; the age of
    the newest entry is 0 (a relative position bias as in Raffel et al. 2020, "Exploring the limits
    of transfer learning with a unified text-to-text transformer", section 2.1)

c and b are zero at the start.

Departure in arithmetic, not in value: (W_q t) . (W_k s) = (W_k^T W_q t) . s, and the sum commutes
with W_o W_v, so that no history item is ever projected.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import ragged
from models.layers.dropout import Dropout
from models.layers.precision import Linear, exact, linear
from models.layers.ragged import History


class SparseTargetAttention(nn.Module):
    """See the module docstring.

    Shapes:
        target   (B, D)  float32
        items    (U, D)  float32, the batch's distinct items
        history  positions among `items`; with position biases at most `positions` a row
        returns  (B, D)
    """

    def __init__(
        self,
        d_item: int,
        d_attention: int,
        weights: str = "relu",
        dropout: float = 0.0,
        positions: int = 0,
    ) -> None:
        super().__init__()
        self.query = Linear(d_item, d_attention, bias=False)
        self.key = Linear(d_item, d_attention, bias=False)
        self.value = Linear(d_item, d_attention, bias=False)
        self.out = Linear(d_attention, d_item, bias=False)
        self.dropout = Dropout(dropout)
        self.scale = d_attention**-0.5
        self.weights = weights
        self.offset = nn.Parameter(torch.zeros(())) if weights == "relu_offset" else None
        self.position = nn.Parameter(torch.zeros(positions)) if positions else None
        self.width = d_item

    def forward(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        with exact(items):
            match = self.key.weight.T @ self.query.weight * self.scale  # (D, D)
            weight = self.weigh(ragged.dot(linear(target, match), items, history), history)
            pooled = ragged.pool(weight, items, history)
            return target + linear(pooled, self.out.weight @ self.value.weight)

    def weigh(self, score: Tensor, history: History) -> Tensor:
        """Weights (T,) of the entries' scores (T,)."""
        if self.position is not None:
            score = score + self.position[history.age]
        match self.weights:
            case "relu":
                weight = torch.relu(score)
            case "relu_offset":
                weight = torch.relu(score + self.offset)
            case "relu2":
                weight = torch.relu(score).square()
            case "silu":
                weight = F.silu(score)
            case "sigmoid":
                weight = torch.sigmoid(score)
            case "softmax":
                weight = ragged.softmax(score, history)
        return self.dropout(weight)

    def reference(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        """The published formula, entry by entry; tests compare `forward` with it."""
        keys, values = self.key(items[history.position]), self.value(items[history.position])
        score = (self.query(target)[history.row] * keys).sum(-1) * self.scale
        summed = values.new_zeros(len(target), values.shape[1])
        summed = summed.index_add(0, history.row, self.weigh(score, history)[:, None] * values)
        return target + self.out(summed)
