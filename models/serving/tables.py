"""Tables that a serving network looks up instead of computing their rows for every request."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import onednn
from models.layers.precision import onednn_takes

ROWS_AT_ONCE = 8192  # of a table that is being computed


def take(table: Tensor, ids: Tensor) -> Tensor:
    """Rows (M, W) of `table` (I, W); twice as fast as table[ids]."""
    return table.index_select(0, ids)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b (..., H), without gradient; `weight` (H, X) must be contiguous.

    By oneDNN where it can, narrow maps too: their weights are packed only once (see FusedLinear).
    """
    return onednn.product(x, weight, bias) if onednn_takes(x) else F.linear(x, weight, bias)


def tabulate(
    rows: Tensor, weight: Tensor, dtype: torch.dtype, bias: Tensor | float = 0
) -> nn.Buffer:
    """The table (I, H) of W r + b for the rows r of `rows` (I, D)."""
    parts = rows.split(ROWS_AT_ONCE)
    return nn.Buffer(torch.cat([(part @ weight.T + bias).to(dtype) for part in parts]))
