"""What is known of an item: learned id, tags and the frozen content vector.

    r(i) = [ E_id[i] ; mean of E_tag over the item's tags ; V e_i ]

as in the organisers' baseline and QIN (Li et al. 2025, arXiv:2504.17699): e_i is frozen, its linear
map V is learned (and square, as published, unless content_dim narrows it). An item without tags has
a zero in their place. Departure: the published code finds the padding among the tags by looking for
embeddings that sum to zero; here it is tag 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ItemRepresentation(nn.Module):
    """See the module docstring.

    Shapes:
        tags     (I, 5)  integer, 0 is padding
        content  (I, C)  float
        item     (U,)    int64
        returns  (U, D)  with D = 2 E + content_dim
    """

    def __init__(
        self, tags: Tensor, content: Tensor, embedding_dim: int, content_dim: int, n_tags: int
    ) -> None:
        super().__init__()
        self.id = nn.Embedding(len(tags), embedding_dim, padding_idx=0)
        self.tag = nn.Embedding(n_tags, embedding_dim, padding_idx=0)
        self.content_map = nn.Linear(content.shape[1], content_dim, bias=False)
        self.register_buffer("tags", tags.long(), persistent=False)
        self.register_buffer("content", content, persistent=False)
        self.width = 2 * embedding_dim + content_dim

    def forward(self, item: Tensor) -> Tensor:
        tags = self.tags[item]
        summed = F.embedding_bag(tags, self.tag.weight, mode="sum", padding_idx=0)
        n_tags = (tags != 0).sum(1, keepdim=True).clamp(min=1)
        parts = (self.id(item), summed / n_tags, self.content_map(self.content[item]))
        return torch.cat(parts, dim=1)
