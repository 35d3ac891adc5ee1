"""Networks over fields: a vector per field, a first order, an explicit part, a deep part.

    logit = sum_f w_f + explicit(v_1 .. v_F) + deep([v_1 ; ... ; v_F])

w_f and v_f are models.fields.table's. Each of the three may be missing; the logit is the mean over
the branches where deep has two.

    first order  explicit   deep    network          paper
    yes          none       none    LR               Richardson et al. 2007
    yes          fm         none    FM               Rendle 2010
    yes          afm        none    AFM              Xiao et al. 2017
    yes          cin        none    CIN              Lian et al. 2018
    no           cross      none    CrossNet         Wang et al. 2017
    no           cross_v2   none    CrossNet V2      Wang et al. 2021
    no           autoint    none    AutoInt          Song et al. 2019; yes in some published rows
    no           sam        none    SAM              Cheng & Xue 2021
    no           none       mlp     MLP (DNN)
    yes          fm         mlp     DeepFM           Guo et al. 2017
    yes          cin        mlp     xDeepFM          Lian et al. 2018
    no           cross      mlp     DCN              Wang et al. 2017
    no           cross_v2   mlp     DCN V2           Wang et al. 2021, its parallel structure
    no           autoint    mlp     AutoInt+         Song et al. 2019; as AutoInt
    no           none       final   FINAL            Zhu et al. 2023

With deep = final, FINAL's blocks (models.layers.final.network) take the MLP's place in any of
them, as in Table 2 of that paper.

A network has a bias of its own where no part has one: LR, FM and AFM. xDeepFM and AutoInt+ have
two, as published.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.fields.attentional_fm import AttentionalPairs
from models.fields.compressed_interaction import CompressedInteraction
from models.fields.cross_network import FirstCrossNetwork, SecondCrossNetwork
from models.fields.factorization_machine import PairwiseInteraction
from models.fields.rows import FieldRows
from models.fields.sam import SelfAttentionModel
from models.fields.self_attention import SelfAttention
from models.fields.settings import FieldSettings
from models.fields.table import FieldTable
from models.layers.final.network import FinalNetwork
from models.layers.mlp import Mlp
from models.network import initialise


class FieldNetwork(nn.Module):
    """See the module docstring.

    Shapes:
        sizes            C numbers: rows of each categorical field's vocabulary, values seen + 2
        batch            FieldRows of B rows, with `n_numeric` numeric fields
        forward(batch)   logits (B,) float32
        hidden(batch)    (B, H): the input of the deep head and, last, the logit of the other parts
        head(hidden)     branches (B, n), n > 1 only for FINAL's two blocks
    """

    def __init__(self, cfg: FieldSettings, sizes: Sequence[int], n_numeric: int = 0) -> None:
        super().__init__()

        def table(width: int) -> FieldTable:
            return FieldTable(sizes, n_numeric, width, cfg.padding_rows)

        n_fields = n_numeric + len(sizes)
        reads_vectors = (cfg.explicit, cfg.deep) != ("none", "none")
        self.embedding = table(cfg.embedding_dim) if reads_vectors else None
        self.first_order = table(1) if cfg.first_order else None
        self.explicit = build_explicit(cfg, n_fields)
        self.deep = build_deep(cfg, n_fields * cfg.embedding_dim)
        without_bias = cfg.deep == "none" and cfg.explicit in ("none", "fm", "afm")
        self.bias = nn.Parameter(torch.zeros(1)) if without_bias else None
        self.distils = getattr(self.deep, "distils", False)
        self.apply(initialise)
        for part in self._tables():
            part.initialise_fields()

    def forward(self, batch: FieldRows) -> Tensor:
        return self.head(self.hidden(batch)).mean(1)

    def head(self, hidden: Tensor) -> Tensor:
        if self.deep is None:
            return hidden
        if self.explicit is None and self.first_order is None:
            return self.deep.head(hidden)
        return self.deep.head(hidden[:, :-1]) + hidden[:, -1:]

    def hidden(self, batch: FieldRows) -> Tensor:
        parts, logits = [], []
        fields = None if self.embedding is None else self.embedding(batch)  # (B, F, E)
        if self.deep is not None:
            parts.append(self.deep.hidden(fields.flatten(1)))
        if self.bias is not None:
            logits.append(self.bias)
        if self.explicit is not None:
            logits.append(self.explicit(fields))
        if self.first_order is not None:
            logits.append(self.first_order(batch).sum(1))
        return torch.cat((*parts, sum(logits)) if logits else parts, dim=1)

    def fused(self) -> Callable[[FieldRows], Tensor]:
        """`forward` itself: its parts are not fused."""
        return self

    def embedding_tables(self) -> list[nn.Parameter]:
        """The weights of the L2 term, as published: all tables, whole."""
        return [weight for table in self._tables() for weight in table.weights()]

    def _tables(self) -> list[FieldTable]:
        return [table for table in (self.embedding, self.first_order) if table is not None]


def build_explicit(cfg: FieldSettings, n_fields: int) -> nn.Module | None:
    """The part that turns fields (B, F, E) into a logit (B, 1) of its own."""
    width, no_deep = cfg.embedding_dim, cfg.deep == "none"
    match cfg.explicit:
        case "none":
            return None
        case "fm":
            return PairwiseInteraction()
        case "afm":
            return AttentionalPairs(n_fields, width, cfg.afm)
        case "cin":
            return CompressedInteraction(n_fields, cfg.cin.maps)
        case "cross":
            return FirstCrossNetwork(n_fields * width, cfg.cross.layers, bias=no_deep)
        case "cross_v2":
            return SecondCrossNetwork(n_fields * width, cfg.cross_v2, bias=no_deep)
        case "autoint":
            return SelfAttention(n_fields, width, cfg.autoint)
        case "sam":
            return SelfAttentionModel(n_fields, width, cfg.sam)


def build_deep(cfg: FieldSettings, width: int) -> nn.Module | None:
    """The part that turns x (B, width) into the branches (B, n): hidden, then head."""
    match cfg.deep:
        case "none":
            return None
        case "mlp":
            return Mlp(width, cfg.mlp.hidden, cfg.mlp.dropout, cfg.mlp.batch_norm)
        case "final":
            return FinalNetwork(width, cfg.final, cfg.embedding_dim)
