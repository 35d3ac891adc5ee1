"""A network: embedding -> interest -> interaction -> logit, each part a module of its own.

    t = r(target item),  s_l = r(history item l)          models.items
    x = [E_likes ; E_views ; t ; interest(t, s)]
    logit = mean over the branches of interaction(x)

    qin              sparse target attention + quadratic network (Li et al. 2025, arXiv:2504.17699)
    din              DIN attention + MLP (Zhou et al. 2018; the organisers' baseline)
    final            DIN attention + FINAL block(s) (Zhu et al. 2023)
    transformer_dcn  transformer + cross network and MLP (the challenge's winning entry)

Beyond the papers, each a setting: item_levels appends [E_likes ; E_views] of the item's own levels
to r(i), for target and history alike and from the row's own tables, as the challenge's best public
scores have it; user_id puts E_user behind the row's levels; columns puts the columns of 30_features
and a hidden layer over them behind interest(t, s) (models.layers.columns).

To add a part, touch four files (docs/extending.md walks through them):

    models/layers/<name>.py   the module; shapes as in build_interest or build_interaction below
    models/settings.py        its settings, a field <name> for them in NetworkSettings, and the name
                              among the choices of interest or interaction
    models/network.py         its case in build_interest or build_interaction
    models/<network>.toml     a network that uses it

An interaction part may have a method fused() (models.layers.fusion), an interest part a form in
models.serving.interest: they make prediction and serving faster. A part without them predicts
through its own forward, and only export and latency, which need them, refuse it by name.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.batches.batch import Batch
from models.items import ItemRepresentation, ItemTable
from models.layers.columns import ColumnParts, Columns
from models.layers.cross import CrossTower
from models.layers.din_attention import DinAttention
from models.layers.final.network import FinalNetwork
from models.layers.fusion import fused_form
from models.layers.mean_pooling import MeanPooling
from models.layers.mlp import Mlp
from models.layers.precision import Linear
from models.layers.quadratic import QuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.layers.transformer import TransformerInterest
from models.settings import INTERACTIONS, INTERESTS, NetworkSettings

N_LEVELS = 11  # likes and views levels 0..10; level 0 is padding: a zero vector that never trains


class Network(nn.Module):
    """See the module docstring.

    Shapes:
        batch            Batch of B rows
        forward(batch)   logits (B,)
        features(batch)  x (B, width)
        hidden(batch)    (B, H), the input of the head
        head(hidden)     branches (B, n), n > 1 only for FINAL's two blocks
    """

    def __init__(
        self,
        cfg: NetworkSettings,
        items: ItemTable,
        n_users: int = 0,
        columns: Columns | None = None,
    ) -> None:
        super().__init__()
        dim, content_dim = cfg.embedding_dim, cfg.content_dim or items.content.shape[1]
        self.item = ItemRepresentation(
            items, dim, content_dim, cfg.item_codes, cfg.fit.item_dropout
        )
        self.likes = nn.Embedding(N_LEVELS, dim, padding_idx=0)
        self.views = nn.Embedding(N_LEVELS, dim, padding_idx=0)
        self.user = nn.Embedding(n_users, dim, padding_idx=0) if cfg.user_id else None
        levels = (items.likes, items.views) if cfg.item_levels else (None, None)
        for name, level in zip(("item_likes", "item_views"), levels, strict=True):
            self.register_buffer(name, None if level is None else level.long(), persistent=False)
        d_item = self.item.width + (2 * dim if cfg.item_levels else 0)
        self.interest = build_interest(cfg, d_item)
        width = (3 if cfg.user_id else 2) * dim + d_item + self.interest.width
        self.columns = columns_of(cfg, columns)
        self.column_parts = None
        if self.columns is not None:
            width += self.columns.width + cfg.column_parts.width
            if cfg.column_parts.width:
                self.column_parts = ColumnParts(self.columns.n_columns, cfg.column_parts)
        self.interaction = build_interaction(cfg, width)
        self.distils = getattr(self.interaction, "distils", False)
        self.apply(initialise)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.hidden(batch)).mean(1)

    def head(self, hidden: Tensor) -> Tensor:
        return self.interaction.head(hidden)

    def hidden(self, batch: Batch) -> Tensor:
        return self.interaction.hidden(self.features(batch))

    def features(self, batch: Batch) -> Tensor:
        items = self.represent(batch.items)
        target = items[batch.target]
        row = [self.likes(batch.likes), self.views(batch.views)]
        if self.user is not None:
            row.append(self.user(batch.user))
        x = [*row, target, self.interest(target, items, batch.history)]
        if self.columns is not None:
            x.append(self.columns(batch.columns))
        if self.column_parts is not None:
            x.append(self.column_parts(batch.columns))
        return torch.cat(x, dim=1)

    def fused(self) -> Callable[[Batch], Tensor]:
        """What `forward` computes in eval mode, with the interaction fused where it can be."""
        fused = fused_form(copy.deepcopy(self.interaction).double())
        if fused is None:
            return self
        interaction = fused.to(self.likes.weight.dtype)
        return lambda batch: interaction(self.features(batch))

    def represent(self, item: Tensor) -> Tensor:
        """r(i) (U, D) of the items `item` (U,) int64."""
        vectors = self.item(item)
        if self.item_likes is None:
            return vectors
        levels = self.likes(self.item_likes[item]), self.views(self.item_views[item])
        return torch.cat((vectors, *levels), dim=1)

    def embedding_tables(self) -> list[nn.Parameter]:
        """The weights of the L2 term, as published: all tables, whole, and the content's map."""
        parts = (self.item.id, self.item.tag, self.item.content_map, self.likes, self.views)
        return [p.weight for p in (*parts, self.item.code, self.user) if p is not None]


def columns_of(cfg: NetworkSettings, columns: Columns | None) -> Columns | None:
    """`columns`, where the settings ask for them. Raises ValueError where there are none."""
    if cfg.columns and columns is None:
        raise ValueError("columns = true needs rows with the columns of 30_features")
    return columns if cfg.columns else None


def build_interest(cfg: NetworkSettings, d_item: int) -> nn.Module:
    """The part that turns a history into `width` numbers, given the target.

    Shapes: (target (B, D), items (U, D), history) -> (B, width), D = d_item. Its attribute `width`
    is that width.
    """
    match cfg.interest:
        case "mean":
            return MeanPooling(d_item)
        case "din":
            return DinAttention(d_item, cfg.din.hidden, cfg.din.dropout, cfg.din.softmax)
        case "asta":
            width = cfg.asta.width or 2 * d_item
            positions = cfg.max_len if cfg.asta.position else 0
            return SparseTargetAttention(
                d_item, width, cfg.asta.weights, cfg.asta.dropout, positions
            )
        case "transformer":
            return TransformerInterest(d_item, cfg.transformer, cfg.max_len)
        case unknown:
            raise unknown_part("interest", unknown, INTERESTS)


def build_interaction(cfg: NetworkSettings, width: int) -> nn.Module:
    """The part that turns x (B, width) into the branches whose mean is the logit.

    Shapes: hidden: (B, width) -> (B, H), head: (B, H) -> (B, n), forward = head of hidden. An
    attribute `distils` that is True says that the branches learn from their mean (FINAL).
    """
    match cfg.interaction:
        case "mlp":
            return Mlp(width, cfg.mlp.hidden, cfg.mlp.dropout, cfg.mlp.batch_norm)
        case "qnn":
            return QuadraticNetwork(width, cfg.qnn)
        case "final":
            return FinalNetwork(width, cfg.final, cfg.embedding_dim)
        case "cross":
            return CrossTower(width, cfg.cross)
        case unknown:
            raise unknown_part("interaction", unknown, INTERACTIONS)


def unknown_part(kind: str, name: str, choices: tuple[str, ...]) -> ValueError:
    """The error of a part that no case builds; `choices` are those of the settings."""
    if name in choices:
        return ValueError(f"{kind} = {name!r} needs its case in build_{kind}, models/network.py")
    return ValueError(f"{kind} = {name!r}, expected one of {', '.join(choices)}")


def initialise(module: nn.Module) -> None:
    """As published: Xavier-normal linear maps, zero biases, embeddings with a standard deviation of
    1e-4, padding zero.

    Classes that torch derives from nn.Linear, such as the output projection of attention, keep
    torch's own initial weights.
    """
    if type(module) in (nn.Linear, Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=1e-4)
        if module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
