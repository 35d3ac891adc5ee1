"""What defines a network over fields, declared as in models.settings."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from models.final_settings import FinalSettings
from models.fit_settings import FitSettings
from models.settings import MlpSettings

Explicit = Literal["none", "fm", "afm", "cin", "cross", "cross_v2", "autoint", "sam"]
Deep = Literal["none", "mlp", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AfmSettings:
    """The attention of an attentional factorisation machine (Xiao et al. 2017)."""

    width: Annotated[int, "[1, inf)", "Width of the layer that scores a pair of fields."] = 16
    dropout: Annotated[float, "[0, 1)", "Dropout of the attention's weights."] = 0.0
    pooled_dropout: Annotated[float, "[0, 1)", "Dropout of the weighted sum of the pairs."] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CinSettings:
    """The compressed interaction network of xDeepFM (Lian et al. 2018)."""

    maps: Annotated[
        tuple[int, ...], "one or more of [1, inf)", "Number of feature maps of each layer."
    ] = (32, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossV1Settings:
    """The cross network of DCN (Wang et al. 2017)."""

    layers: Annotated[int, "[1, inf)", "Number of cross layers."] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossV2Settings:
    """The cross network of DCN V2 (Wang et al. 2021)."""

    layers: Annotated[int, "[1, inf)", "Number of cross layers."] = 3
    experts: Annotated[
        int,
        "[0, inf)",
        "Number of low-rank experts that each layer mixes; 0 gives it one matrix of full rank.",
    ] = 0
    rank: Annotated[int, "[1, inf)", "Rank of an expert; read where there are experts."] = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoIntSettings:
    """The self-attention of AutoInt (Song et al. 2019)."""

    layers: Annotated[int, "[1, inf)", "Number of attention layers."] = 3
    heads: Annotated[int, "[1, inf)", "Number of attention heads; they divide width."] = 2
    width: Annotated[int, "[1, inf)", "Width of a field behind a layer, all heads together."] = 128
    head_split: Annotated[
        Literal["field", "row"],
        "What a head has: field, its share of each field, as in the paper; row, the shares of some"
        " neighbouring fields, as in the benchmark's runs.",
    ] = "field"
    residual: Annotated[bool, "Whether a layer adds its input, mapped to its width."] = True
    scale: Annotated[
        bool, "Whether scores are divided by the square root of a head's width; not in the paper."
    ] = False
    layer_norm: Annotated[
        bool, "Whether layer normalisation stands before each ReLU; not in the paper."
    ] = False
    dropout: Annotated[
        float, "[0, 1)", "Dropout of the attention's weights and of what they pool."
    ] = 0.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"heads = {self.heads} must divide width = {self.width}: a head has an equal share"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SamSettings:
    """The self-attention model SAM3A (Cheng & Xue 2021)."""

    layers: Annotated[int, "[1, inf)", "Number of interaction layers."] = 3
    residual: Annotated[bool, "Whether a layer adds its input, mapped linearly."] = True
    pooling: Annotated[
        Literal["concat", "weighted"],
        "How the fields behind the last layer reach the logit: concat, all of them; weighted, their"
        " sum with a learned weight each.",
    ] = "concat"
    dropout: Annotated[float, "[0, 1)", "Dropout behind each layer."] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettings:
    """A network over fields and its training."""

    explicit: Annotated[
        Explicit,
        "The explicit part: none, a factorisation machine (fm), one with attention (afm), a"
        " compressed interaction network (cin), a cross network (cross, cross_v2), or"
        " self-attention (autoint, sam).",
    ]
    deep: Annotated[Deep, "The deep part: none, an MLP, or FINAL's blocks."]
    first_order: Annotated[
        bool, "Whether each value has a weight of its own, which the logit adds up."
    ] = False
    embedding_dim: Annotated[int, "[1, inf)", "Width of an embedding of a field's value."] = 10
    padding_rows: Annotated[
        bool,
        "Whether each field's table begins with a row of padding, which no row of data reads. The"
        " published numbers of parameters count it for FINAL alone.",
    ] = True
    afm: AfmSettings = field(default_factory=AfmSettings)
    cin: CinSettings = field(default_factory=CinSettings)
    cross: CrossV1Settings = field(default_factory=CrossV1Settings)
    cross_v2: CrossV2Settings = field(default_factory=CrossV2Settings)
    autoint: AutoIntSettings = field(default_factory=AutoIntSettings)
    sam: SamSettings = field(default_factory=SamSettings)
    mlp: MlpSettings = field(default_factory=MlpSettings)
    final: FinalSettings = field(default_factory=FinalSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        if self.explicit == self.deep == "none" and not self.first_order:
            raise ValueError(
                "explicit = 'none', deep = 'none' and first_order = false leave no part: set one"
            )
        for name in ("item_dropout", "prefixes"):
            if getattr(self.fit, name):
                raise ValueError(
                    f"fit.{name} is about items or histories, and fields have none: leave it 0"
                )

    @property
    def unread(self) -> set[str]:
        """Sections and keys that nothing reads: of parts that the network lacks, or has without
        them."""
        unread = {*get_args(Explicit), *get_args(Deep)} - {"none", "fm", self.explicit, self.deep}
        if self.explicit == self.deep == "none":
            unread.add("embedding_dim")
        if self.explicit == "cross_v2" and not self.cross_v2.experts:
            unread.add("cross_v2.rank")
        if self.deep == "final":
            unread |= {f"final.{key}" for key in self.final.unread}
        return unread

    def reads(self, key: str) -> bool:
        """Whether a part of the network reads the setting `key`, such as `final.steps`."""
        return not {key, key.split(".")[0]} & self.unread
