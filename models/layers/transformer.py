"""The challenge's winning interest part: a Transformer encoder over [s_l ; t].

    X_l = [s_l ; t]
    X   = encoder(X)                            post-norm layers, ReLU, no positional encoding
    z   = [X_{L-k+1} ; ... ; X_L ; W max_l X_l + b]     the k most recent entries, 0 where absent

Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.3, as the winning entry stacks
it. Only kept positions attend, are attended to, and reach the output. They are the real history
items; an empty history keeps one padding item. `mask="as_published"` reproduces what the entry
computes: its mask is inverted, so that the padding of a history padded to `max_len` is kept and the
real items are ignored (a full history keeps its last item). That entry padded lists narrower than
`max_len` to their own width: set `max_len` to it. The default, `mask="real"`, is the evident
intention.

Histories are padded here alone, to the longest of the batch (as published: to `max_len`), because
every entry attends to every other.
"""

import torch
from torch import Tensor, nn

from models.layers.precision import Linear
from models.layers.ragged import History
from models.settings import TransformerSettings


class TransformerInterest(nn.Module):
    """See the module docstring.

    Shapes:
        target   (B, D)  float32
        items    (U, D)  float32, the batch's distinct items, the padding item first
        history  positions among `items`
        returns  (B, 2 D (k + 1))
    """

    def __init__(self, d_item: int, cfg: TransformerSettings, max_len: int) -> None:
        super().__init__()
        width = 2 * d_item
        if width % cfg.heads:
            raise ValueError(
                f"transformer.heads = {cfg.heads} must divide {width}, twice the width of an item's"
                " representation"
            )
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, cfg.heads, cfg.feedforward, cfg.dropout, batch_first=True
            )
            for _ in range(cfg.layers)
        )
        self.out = Linear(width, width)
        self.last, self.max_len = cfg.last, max_len
        self.as_published = cfg.mask == "as_published"
        self.width = width * (cfg.last + 1)

    def forward(self, target: Tensor, items: Tensor, history: History) -> Tensor:
        if not len(target):  # one process's part of a small batch; torch's layers refuse it
            return target.new_zeros(0, self.width)
        position, kept = self.slots(history)
        x = torch.cat((items[position], target[:, None].expand(-1, position.shape[1], -1)), dim=2)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~kept)
        ignored = ~kept[:, :, None]
        last = x.masked_fill(ignored, 0)[:, -self.last :].flatten(1)
        highest = x.masked_fill(ignored, -1e9).amax(1)
        return torch.cat((last, self.out(highest)), dim=1)

    def slots(self, history: History) -> tuple[Tensor, Tensor]:
        """Left-padded positions (B, L) int64, 0 for padding; and whether each is kept, bool."""
        length = history.offsets.diff()
        longest = self.max_len if self.as_published else max(int(length.max()), self.last)
        nth = torch.arange(len(history.row), device=length.device) - history.offsets[history.row]
        column = longest - length[history.row] + nth
        position = length.new_zeros(len(length), longest)
        position[history.row, column] = history.position
        real = torch.zeros_like(position, dtype=torch.bool)
        real[history.row, column] = True
        kept = ~real if self.as_published else real
        kept[:, -1] |= ~kept.any(1)
        return position, kept
