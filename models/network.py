"""A network: embedding -> interest -> interaction -> logit, each part a module of its own.

t = r(target item),  s_l = r(history item l)
x = [E_likes ; E_views ; t ; interest(t, s)]
logit = mean over the branches of interaction(x)

qin   = sparse target attention + quadratic network      (Li et al. 2025, arXiv:2504.17699)
din   = DIN attention + MLP                              (Zhou et al. 2018; organisers' baseline)
final = DIN attention + FINAL block(s)                   (Zhu et al. 2023)
"""

import torch
from torch import Tensor, nn

from models.din_attention import DinAttention
from models.final import FinalNetwork
from models.items import ItemRepresentation
from models.mean_pooling import MeanPooling
from models.mlp import Mlp
from models.quadratic import QuadraticNetwork
from models.settings import NetworkSettings
from models.sparse_target_attention import SparseTargetAttention
from models.table import Batch

N_LEVELS = 11  # likes and views levels 0..10; level 0 is padding: a zero vector that never trains


class Network(nn.Module):
    """See the module docstring.

    Shapes:
        batch            Batch of B rows
        forward(batch)   logits (B,)
        branches(batch)  logits (B, n), n > 1 only for FINAL's two blocks
    """

    def __init__(self, s: NetworkSettings, tags: Tensor, content: Tensor, n_tags: int) -> None:
        super().__init__()
        content_dim = s.content_dim or content.shape[1]
        self.item = ItemRepresentation(tags, content, s.embedding_dim, content_dim, n_tags)
        self.likes = nn.Embedding(N_LEVELS, s.embedding_dim, padding_idx=0)
        self.views = nn.Embedding(N_LEVELS, s.embedding_dim, padding_idx=0)
        self.interest = build_interest(s, self.item.width)
        self.interaction = build_interaction(s, 2 * s.embedding_dim + 2 * self.item.width)
        self.apply(initialise)

    def forward(self, batch: Batch) -> Tensor:
        return self.branches(batch).mean(1)

    def branches(self, batch: Batch) -> Tensor:
        return self.score(self.item(batch.items), batch)

    def score(self, items: Tensor, batch: Batch) -> Tensor:
        """`branches`, with the representations `items` (U, D) of the batch's items given."""
        target = items[batch.target]
        interest = self.interest(target, items, batch.history)
        levels = self.likes(batch.likes), self.views(batch.views)
        return self.interaction(torch.cat((*levels, target, interest), dim=1))

    def embedding_tables(self) -> list[nn.Parameter]:
        """What the L2 term covers, as published: all tables, whole, and the map of the content."""
        parts = (self.item.id, self.item.tag, self.item.content_map, self.likes, self.views)
        return [part.weight for part in parts]


def build_interest(s: NetworkSettings, d_item: int) -> nn.Module:
    match s.interest:
        case "mean":
            return MeanPooling()
        case "din":
            return DinAttention(d_item, s.din.hidden, s.din.dropout, s.din.softmax)
        case "asta":
            return SparseTargetAttention(d_item, s.asta.width or 2 * d_item)


def build_interaction(s: NetworkSettings, width: int) -> nn.Module:
    match s.interaction:
        case "mlp":
            return Mlp(width, s.mlp.hidden, s.mlp.dropout, s.mlp.batch_norm)
        case "qnn":
            return QuadraticNetwork(
                width, s.qnn.layers, s.qnn.rows, s.qnn.dropout, s.qnn.batch_norm
            )
        case "final":
            blocks = tuple(b for b in (s.final.block1, s.final.block2) if b)
            return FinalNetwork(
                width, blocks, s.final.residual, s.final.dropout, s.final.batch_norm
            )


def initialise(module: nn.Module) -> None:
    """As published: Xavier-normal linear maps, zero biases, embeddings N(0, 1e-4), padding zero."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=1e-4)
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
