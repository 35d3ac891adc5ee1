"""The columns of 30_features as inputs, beside the embeddings.

    v_c = (code_c - 128) / 74 where code_c > 0, else 0       0 is null, 1..255 a bin of the values
    x   = BatchNorm([ v ; 1 where code_c = 0, for the columns c that have nulls in train ])

and a hidden layer over the same codes, each cut into 8 parts of its range:

    p_ct = 2 clip(8 (code_c - 1) / 254 - t, 0, 1) - 1,  t = 0..7;  0 where code_c = 0
    h    = Dropout(ReLU(BatchNorm(W p + b)))

With x alone, a network is slower than trees to learn what is not linear in a column. Gorishniy et
al. 2022, "On embeddings for numerical features in tabular deep learning", NeurIPS: p is their
piecewise linear encoding, by parts of equally many rows, scaled to -1..1; one layer for all columns
is ours.

Codes are bins of equally many train rows, so that v has about unit variance (74 is the standard
deviation of 1..255). The epsilon of batch norm bounds what a column can become that hardly varies
in train, such as nulls in few rows: at most ten times its deviation from the mean.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import Dropout
from models.settings import ColumnPartsSettings

MIDDLE, SCALE = 128, 74
LARGEST = 255
EPS = 0.01
PARTS = 8


class Columns(nn.Module):
    """See the module docstring.

    Shapes:
        nulls    (M,)  int64, the columns that have nulls in train
        codes    (B, C)  uint8
        returns  (B, C + M)  in the precision of the network; `width` is C + M
    """

    def __init__(self, n_columns: int, nulls: Tensor) -> None:
        super().__init__()
        self.n_columns, self.width = n_columns, n_columns + len(nulls)
        self.register_buffer("nulls", nulls)
        self.norm = nn.BatchNorm1d(self.width, eps=EPS)

    @classmethod
    def of_train(cls, codes: Iterable[Tensor]) -> "Columns":
        """For networks that are trained on rows with these `codes`, in pieces (n, C)."""
        has_nulls = torch.stack([(piece == 0).any(0) for piece in codes]).any(0)
        return cls(len(has_nulls), has_nulls.nonzero().squeeze(1))

    @classmethod
    def of_state(cls, state: dict[str, Tensor], prefix: str) -> "Columns":
        """Of the shape that a state_dict has, whose names begin with `prefix`."""
        nulls, norm = (state.get(prefix + n) for n in ("nulls", "norm.weight"))
        nulls = torch.zeros(0, dtype=torch.int64) if nulls is None or nulls.ndim != 1 else nulls
        width = len(nulls) if norm is None or norm.ndim != 1 else len(norm)
        return cls(max(width - len(nulls), 0), nulls)

    def forward(self, codes: Tensor) -> Tensor:
        unknown = codes == 0
        value = (codes.to(self.norm.weight.dtype) - MIDDLE) / SCALE
        value = value.masked_fill(unknown, 0)
        return self.norm(torch.cat((value, unknown[:, self.nulls].to(value.dtype)), dim=1))


class ColumnParts(nn.Module):
    """The hidden layer h of the module docstring.

    Shapes:
        codes    (B, C)  uint8
        returns  (B, H)  in the precision of the network
    """

    def __init__(self, n_columns: int, cfg: ColumnPartsSettings) -> None:
        super().__init__()
        self.register_buffer("encoding", encoding(), persistent=False)
        self.linear = nn.Linear(n_columns * PARTS, cfg.width)
        self.norm = nn.BatchNorm1d(cfg.width)
        self.dropout = Dropout(cfg.dropout)

    def forward(self, codes: Tensor) -> Tensor:
        parts = F.embedding(codes.int(), self.encoding.to(self.linear.weight.dtype))
        return self.dropout(torch.relu(self.norm(self.linear(parts.flatten(1)))))


def encoding() -> Tensor:
    """p (256, 8) float64 of every code."""
    code = torch.arange(LARGEST + 1, dtype=torch.float64)
    place = PARTS * (code - 1) / (LARGEST - 1)
    parts = 2 * (place[:, None] - torch.arange(PARTS)).clamp(0, 1) - 1
    parts[0] = 0
    return parts
