"""The representation of an item: learned id, tags and the frozen content vector.

    r(i) = [ E_id[i] ; mean of E_tag over the item's tags ; V e_i ]

As in the organisers' baseline and QIN (Li et al. 2025, arXiv:2504.17699): e_i is frozen, its linear
map V is learned (and square, as published, unless content_dim narrows it). An item without tags has
zeros in their place. Departure: the published code takes tags whose embeddings sum to zero for
padding; here padding is tag 0.

Beyond the paper, a setting: [ ... ; mean of E_code ] over the item's semantic codes, which
approximate e_i by residual quantisation.

In training, fit.item_dropout = p, a setting too, puts d_i E_id[i] in E_id[i]'s place: d_i is 0 with
probability p, else 1, drawn once for each distinct item of a batch. Tags, content and codes must
then rank items without their ids, as they do for items that no train row holds (Volkovs et al.
2017, "DropoutNet: Addressing Cold Start in Recommender Systems"). Nothing is scaled by 1 / (1 - p):
in prediction an item has its id, or none that was ever trained.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.precision import Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTable:
    """The inputs of all items; row number == item id, row 0 is the padding item.

    Shapes:
        tags     (I, 5)  integer, 0 is padding
        content  (I, C)  float
        likes    (I,)    integer, level 0..10, None where the source has none; views likewise
        codes    (I, K)  integer, one code for each level of the quantiser, 0 is none; codes of
                 different levels are distinct; None where the store has none
        n_tags   rows of the tag table
        n_codes  rows of the code table
    """

    tags: Tensor
    content: Tensor
    n_tags: int
    likes: Tensor | None = None
    views: Tensor | None = None
    codes: Tensor | None = None
    n_codes: int = 0


class ItemRepresentation(nn.Module):
    """See the module docstring; the network, which owns the tables of levels, appends those.

    Shapes:
        item     (U,)    int64
        returns  (U, D)  float32, D = 2 E + content_dim, and E more with codes
    """

    def __init__(
        self,
        table: ItemTable,
        embedding_dim: int,
        content_dim: int,
        codes: bool = False,
        id_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.id = nn.Embedding(len(table.tags), embedding_dim, padding_idx=0)
        self.tag = nn.Embedding(table.n_tags, embedding_dim, padding_idx=0)
        self.content_map = Linear(table.content.shape[1], content_dim, bias=False)
        self.code = nn.Embedding(table.n_codes, embedding_dim, padding_idx=0) if codes else None
        self.register_buffer("tags", table.tags.long(), persistent=False)
        self.register_buffer("content", table.content, persistent=False)
        self.register_buffer("codes", table.codes.long() if codes else None, persistent=False)
        self.id_dropout = id_dropout
        self.width = (3 if codes else 2) * embedding_dim + content_dim

    def forward(self, item: Tensor) -> Tensor:
        tags = mean_of(self.tag, self.tags[item])
        parts = [self.learned_id(item), tags, self.content_map(self.content[item])]
        if self.code is not None:
            parts.append(mean_of(self.code, self.codes[item]))
        return torch.cat(parts, dim=1)

    def learned_id(self, item: Tensor) -> Tensor:
        """d_i E_id[i] (U, E); d_i is 1 outside of training."""
        vectors = self.id(item)
        if not (self.training and self.id_dropout):
            return vectors
        kept = torch.rand(len(item), 1, device=item.device) >= self.id_dropout
        return vectors * kept


def mean_of(table: nn.Embedding, ids: Tensor) -> Tensor:
    """(U, E): the mean of `table` over the non-zero `ids` (U, K); 0 where there are none."""
    summed = F.embedding_bag(ids, table.weight, mode="sum", padding_idx=0)
    return summed / (ids != 0).sum(1, keepdim=True).clamp(min=1)
