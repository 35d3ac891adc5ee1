"""Mean of the history, whatever the target: the ablation that attention is compared with.

    z = (1 / n) sum_l s_l,   0 for an empty history

QIN's Table 2 (Li et al. 2025, arXiv:2504.17699), "without ASTA".
"""

from torch import Tensor, nn

from models.layers import ragged
from models.layers.ragged import History


class MeanPooling(nn.Module):
    """Shapes: target (B, D) float32, items (U, D) float32, history -> (B, D)."""

    def __init__(self, d_item: int) -> None:
        super().__init__()
        self.width = d_item

    def forward(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        length = history.offsets.diff().clamp(min=1).to(items.dtype)
        return ragged.pool(1 / length[history.row], items, history)
