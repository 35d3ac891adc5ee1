"""Networks over categorical fields: an embedding per value, an explicit part, a deep part.

    x     = [v_1 ; ... ; v_F]                  v_f: E numbers, the embedding of field f's value
    logit = deep(x) + explicit(v_1 .. v_F)     the mean over the branches where deep has two

    explicit                    deep = mlp     explicit(v_1 .. v_F)
    none                        MLP            0
    fm                          DeepFM         sum_f w_f + factorisation machine (Guo et al. 2017)
    cin                         xDeepFM        sum_f w_f + CIN                   (Lian et al. 2018)
    cross                       DCN            w . x_n of the cross network      (Wang et al. 2017)

With deep = final, a FINAL block (Zhu et al. 2023, models.layers.final.network) takes the MLP's
place, as in Table 2 of that paper; without an explicit part, that is FINAL itself.

DCN is the first version, Wang et al. 2017, "Deep & Cross Network", section 2.2:

    x_0 = x,   x_(i+1) = x_0 (w_i . x_i) + b_i + x_i

Departure: its last linear map over [x_n ; deep] is written as the sum of two maps, which changes
nothing but the scale of the initial weights, each Xavier-normal for its own width.

As published, field f has rows for padding (0), for the values seen in training (1, 2, ...) and,
last, for all other values; that last row is never trained. The bias of the first order is the deep
head's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from models.batches.plan import plan_in_memory
from models.batches.source import NoSlates, Shard
from models.layers.compressed_interaction import CompressedInteraction
from models.layers.factorization_machine import PairwiseInteraction
from models.layers.final.network import FinalNetwork
from models.layers.mlp import Mlp
from models.network import initialise
from models.settings import FinalSettings, FitSettings, MlpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettings:
    """A network over fields and its training."""

    explicit: Annotated[
        Literal["none", "fm", "cin", "cross"],
        "The explicit part: none, a factorisation machine, a compressed interaction network, or a"
        " cross network.",
    ]
    deep: Annotated[Literal["mlp", "final"], "The deep part: an MLP, or FINAL's blocks."]
    embedding_dim: Annotated[int, "[1, inf)", "Width of an embedding of a field's value."] = 10
    cin_maps: Annotated[
        tuple[int, ...], "one or more of [1, inf)", "Feature maps of each CIN layer."
    ] = (32, 32)
    cross_layers: Annotated[int, "[1, inf)", "Number of cross layers."] = 3
    mlp: MlpSettings = field(default_factory=MlpSettings)
    final: FinalSettings = field(default_factory=FinalSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        for name in ("item_dropout", "prefixes"):
            if getattr(self.fit, name):
                raise ValueError(
                    f"fit.{name} is about items or histories, and fields have none: leave it 0"
                )

    @property
    def unread(self) -> set[str]:
        """Settings of parts that the network does not have: nothing reads them."""
        parts = {"cin": "cin_maps", "cross": "cross_layers", "mlp": "mlp", "final": "final"}
        unread = {name for part, name in parts.items() if part not in (self.explicit, self.deep)}
        of_final = self.final.unread if self.deep == "final" else set()
        return unread | {f"final.{key}" for key in of_final}

    def reads(self, key: str) -> bool:
        """Whether a part of the network reads the setting `key`, such as `final.steps`."""
        return not {key, key.split(".")[0]} & self.unread


@dataclass(frozen=True, slots=True)
class FieldRows:
    """Rows of F categorical fields on one device, without their labels.

    Shapes: columns (N, F) int64, rows of each field's own vocabulary (see `encode`).
    """

    columns: Tensor

    on_host = False

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def device(self) -> torch.device:
        return self.columns.device

    def batch(self, index: Tensor) -> Tensor:
        """Rows `index` (B,) int64: (B, F) int64."""
        return self.columns[index]

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> Sequence[Tensor]:
        """Positions (B,) int64 of each batch; see models.batches.source.BatchSource."""
        return plan_in_memory(len(self), self.device, batch_size, shuffle, shard)

    def in_slates(self) -> "FieldRows":
        """Raises NoSlates: fields do not name a user or a history."""
        raise NoSlates("rows of fields have no slates")

    def read(
        self, plan: Sequence[Tensor], label: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Each batch of `plan`, and its part of `label` (N,)."""
        for index in plan:
            yield self.batch(index), None if label is None else label[index]


def encode(values: Tensor, vocabularies: Sequence[Tensor]) -> Tensor:
    """Values (N, F) int64 as rows of their field's vocabulary; the same shape and dtype.

    vocabularies  for each field the values seen in training, (V,) int64, ascending and distinct.
                  They become 1..V, all other values V + 1. Row 0 is padding.
    """
    columns = []
    for value, seen in zip(values.unbind(1), vocabularies, strict=True):
        index = torch.searchsorted(seen, value.contiguous()).clamp(max=len(seen) - 1)
        columns.append(torch.where(seen[index] == value, index + 1, len(seen) + 1))
    return torch.stack(columns, dim=1)


class FirstCrossNetwork(nn.Module):
    """DCN's cross layers and their part of the last linear map.

    Shapes: fields (B, F, E) float32 -> logit (B, 1)
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.weights = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(layers))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(layers))
        self.out = nn.Linear(width, 1, bias=False)

    def forward(self, fields: Tensor) -> Tensor:
        x = crossed = fields.flatten(1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            crossed = x * weight(crossed) + bias + crossed
        return self.out(crossed)


class FieldNetwork(nn.Module):
    """See the module docstring.

    Shapes:
        sizes            F numbers: rows of each field's vocabulary, values seen + 2
        batch            (B, F) int64, from `encode`
        forward(batch)   logits (B,) float32
        hidden(batch)    (B, H): the input of the deep head and, last, the explicit part's logit
        head(hidden)     branches (B, n), n > 1 only for FINAL's two blocks
    """

    def __init__(self, cfg: FieldSettings, sizes: Sequence[int]) -> None:
        super().__init__()
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)  # (F,): where each field's rows begin
        self.register_buffer("first", first, persistent=False)
        self.embedding = nn.Embedding(sum(sizes), cfg.embedding_dim, padding_idx=0)
        has_first_order = cfg.explicit in ("fm", "cin")
        self.first_order = nn.Embedding(sum(sizes), 1, padding_idx=0) if has_first_order else None
        self.explicit = build_explicit(cfg, len(sizes))
        self.deep = build_deep(cfg, len(sizes) * cfg.embedding_dim)
        self.distils = getattr(self.deep, "distils", False)
        self.apply(initialise)
        for table in self.embedding_tables():
            table.data[first] = 0  # every field's padding

    def forward(self, batch: Tensor) -> Tensor:
        return self.head(self.hidden(batch)).mean(1)

    def head(self, hidden: Tensor) -> Tensor:
        if self.explicit is None:
            return self.deep.head(hidden)
        return self.deep.head(hidden[:, :-1]) + hidden[:, -1:]

    def hidden(self, batch: Tensor) -> Tensor:
        row = batch + self.first
        fields = self.embedding(row)  # (B, F, E)
        deep = self.deep.hidden(fields.flatten(1))
        if self.explicit is None:
            return deep
        logit = self.explicit(fields)
        if self.first_order is not None:
            logit = logit + self.first_order(row).sum(1)
        return torch.cat((deep, logit), dim=1)

    def fused(self) -> Callable[[Tensor], Tensor]:
        """`forward` itself: its parts are not fused."""
        return self

    def embedding_tables(self) -> list[nn.Parameter]:
        """The weights of the L2 term, as published: all tables, whole."""
        tables = (self.embedding, self.first_order)
        return [table.weight for table in tables if table is not None]


def build_explicit(cfg: FieldSettings, n_fields: int) -> nn.Module | None:
    """The part that turns fields (B, F, E) into a logit (B, 1) of its own."""
    match cfg.explicit:
        case "none":
            return None
        case "fm":
            return PairwiseInteraction()
        case "cin":
            return CompressedInteraction(n_fields, cfg.cin_maps)
        case "cross":
            return FirstCrossNetwork(n_fields * cfg.embedding_dim, cfg.cross_layers)


def build_deep(cfg: FieldSettings, width: int) -> nn.Module:
    """The part that turns x (B, width) into the branches (B, n): hidden, then head."""
    if cfg.deep == "mlp":
        return Mlp(width, cfg.mlp.hidden, cfg.mlp.dropout, cfg.mlp.batch_norm)
    return FinalNetwork(width, cfg.final, cfg.embedding_dim)
