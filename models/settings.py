"""What defines a network and its training: frozen dataclasses, filled from the TOML beside them.

A setting is declared once, as `name: Annotated[TYPE, "[low, high] unit", "Meaning."] = default`;
pipeline.config.schema reads type, range, unit and meaning from there and checks what users write.
Construction in Python checks only the rules between settings.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args

from models.final_settings import FinalSettings
from models.fit_settings import FitSettings

Interest = Literal["mean", "din", "asta", "transformer"]
Interaction = Literal["mlp", "qnn", "final", "cross"]

INTERESTS: tuple[str, ...] = get_args(Interest)
INTERACTIONS: tuple[str, ...] = get_args(Interaction)


@dataclass(frozen=True, slots=True, kw_only=True)
class DinSettings:
    """DIN's attention: an MLP scores [t; s; t - s; t * s] (Zhou et al. 2018, section 4.3)."""

    hidden: Annotated[
        tuple[int, ...], "one or more of [1, inf)", "Widths of the MLP that scores a history item."
    ] = (512, 256)
    dropout: Annotated[float, "[0, 1)", "Dropout after each layer of the scoring MLP."] = 0.0
    softmax: Annotated[
        bool,
        "Whether the scores of a history are normalised to sum to 1; the organisers' baseline does"
        " not normalise them.",
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AstaSettings:
    """QIN's adaptive sparse target attention (Li et al. 2025, arXiv:2504.17699)."""

    width: Annotated[
        int,
        "[0, inf)",
        "Width of the space in which target and history are compared; 0 takes twice the width of an"
        " item, as published.",
    ] = 0
    weights: Annotated[
        Literal["relu", "softmax", "relu2", "silu", "sigmoid", "relu_offset"],
        "What turns a score into a weight: ReLU, as published, softmax over the history, squared"
        " ReLU, SiLU, sigmoid, or ReLU of the score plus a learned number (relu_offset).",
    ] = "relu"
    position: Annotated[
        bool,
        "Whether a learned number for each position of the history, counted from the newest item,"
        " is added to the score.",
    ] = False
    dropout: Annotated[
        float, "[0, 1)", "Dropout of the attention's weights; the published network has none."
    ] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QnnSettings:
    """QIN's quadratic neural network (Li et al. 2025, arXiv:2504.17699)."""

    layers: Annotated[
        int, "[1, inf)", "Number of quadratic layers; each doubles the degree of the polynomial."
    ] = 4
    rows: Annotated[
        int,
        "[1, inf)",
        "Number of linear maps in each layer's bank; they differ only by the dropout inside it.",
    ] = 4
    dropout: Annotated[float, "[0, 1)", "Dropout inside the bank and after each layer."] = 0.1
    batch_norm: Annotated[bool, "Whether each layer ends with batch normalisation."] = True
    activation: Annotated[
        Literal["prelu", "relu"], "Activation of each layer: PReLU, as published, or ReLU."
    ] = "prelu"
    activate: Annotated[
        Literal["post", "mid"],
        "Where the activation stands: post, after the product, as published; mid, on the bank,"
        " before the product.",
    ] = "post"
    bank: Annotated[
        Literal["full", "collapsed"],
        "full trains all maps of the bank, as published; collapsed leaves out the dropout inside"
        " it, which makes them one matrix per layer and training faster.",
    ] = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpSettings:
    """The plain tower of the organisers' DIN baseline."""

    hidden: Annotated[
        tuple[int, ...], "[1, inf)", "Widths of the hidden layers; empty for a linear model."
    ] = (1024, 512, 256)
    dropout: Annotated[float, "[0, 1)", "Dropout after each hidden layer."] = 0.1
    batch_norm: Annotated[bool, "Whether each hidden layer has batch normalisation."] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerSettings:
    """The winning entry's encoder over [s_l ; t], with its inverted mask corrected."""

    layers: Annotated[int, "[1, inf)", "Number of encoder layers."] = 2
    heads: Annotated[
        int, "[1, inf)", "Number of attention heads; they divide the width of [s_l ; t]."
    ] = 1
    feedforward: Annotated[int, "[1, inf)", "Width of an encoder layer's feed-forward part."] = 256
    last: Annotated[
        int,
        "[1, inf) items",
        "How many of the most recent positions reach the interaction part as they are, beside the"
        " maximum over all; at most max_len.",
    ] = 16
    dropout: Annotated[float, "[0, 1)", "Dropout inside the encoder."] = 0.2
    mask: Annotated[
        Literal["real", "as_published"],
        "real attends to the history; as_published repeats the winning entry's mask, which attends"
        " to the padding alone.",
    ] = "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSettings:
    """Cross network v2 (Wang et al. 2021) beside a deep tower, and an MLP over both."""

    layers: Annotated[int, "[1, inf)", "Number of cross layers."] = 3
    deep: Annotated[
        tuple[int, ...], "one or more of [1, inf)", "Widths of the deep tower's layers."
    ] = (1024, 512, 256)
    hidden: Annotated[
        tuple[int, ...],
        "[1, inf)",
        "Widths of the MLP over [cross ; deep]; may be empty.",
    ] = (64, 32)
    dropout: Annotated[float, "[0, 1)", "Dropout of the deep tower and of the MLP."] = 0.2
    batch_norm: Annotated[bool, "Whether the deep tower and the MLP have batch norm."] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPartsSettings:
    """A hidden layer over the columns of 30_features, where `columns` is true."""

    width: Annotated[
        int,
        "[0, inf)",
        "Width of the hidden layer over the columns, each cut into 8 parts of its range; 0 leaves"
        " it out.",
    ] = 64
    dropout: Annotated[float, "[0, 1)", "Dropout after that layer."] = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """embedding -> interest -> interaction -> logit, with one section for each kind of part."""

    interest: Annotated[
        Interest,
        "The part that reads the history in the light of the target: mean pooling, DIN's attention,"
        " QIN's sparse target attention (asta), or a Transformer.",
    ]
    interaction: Annotated[
        Interaction,
        "The part that combines everything into a logit: an MLP, QIN's quadratic network (qnn),"
        " FINAL's blocks, or a cross network beside a deep tower.",
    ]
    embedding_dim: Annotated[
        int, "[1, inf)", "Width of an embedding of an item's id, a tag, a level or a user."
    ] = 64
    content_dim: Annotated[
        int,
        "[0, inf)",
        "Width to which an item's content vector is mapped; 0 keeps its own width, as published.",
    ] = 0
    max_len: Annotated[
        int, "[1, inf) items", "How many of the most recent history items reach the network."
    ] = 64
    item_levels: Annotated[
        bool,
        "Whether every item, those of the history included, carries its likes and views levels.",
    ] = False
    item_codes: Annotated[
        bool,
        "Whether items carry semantic codes of their content vector, embedded like tags; needs"
        " prepare.codes.",
    ] = False
    user_id: Annotated[
        bool,
        "Whether users have an embedding, which helps only where scored users have train rows.",
    ] = False
    columns: Annotated[
        bool,
        "Whether the tabular columns of 30_features are inputs beside the embeddings.",
    ] = False
    din: DinSettings = field(default_factory=DinSettings)
    asta: AstaSettings = field(default_factory=AstaSettings)
    qnn: QnnSettings = field(default_factory=QnnSettings)
    mlp: MlpSettings = field(default_factory=MlpSettings)
    final: FinalSettings = field(default_factory=FinalSettings)
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    cross: CrossSettings = field(default_factory=CrossSettings)
    column_parts: ColumnPartsSettings = field(default_factory=ColumnPartsSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    @property
    def unread(self) -> set[str]:
        """Sections and keys that nothing reads: those of parts and losses that it does not have."""
        parts = {*INTERESTS, *INTERACTIONS} - {"mean", self.interest, self.interaction}
        parts |= {f"fit.{key}" for key in self.fit.unread}
        parts |= set() if self.columns else {"column_parts"}
        return parts | {f"final.{key}" for key in self.final.unread}

    @property
    def parts(self) -> str:
        """What decides which settings it reads, for messages."""
        columns = "columns" if self.columns else "no columns"
        form = f" ({self.final.form})" if self.interaction == "final" else ""
        return f"{self.interest} and {self.interaction}{form}, {columns}, its loss {self.fit.loss}"

    def reads(self, key: str) -> bool:
        """Whether one of its parts, or its loss, reads the setting `key`, such as `qnn.rows`."""
        return not {key, key.split(".")[0]} & self.unread

    def naming(self) -> dict[str, Any]:
        """The settings that name a fit: all, but final.layer = "published", final.steps and an
        empty final.dropout2, which came later than such fits: these keep their names."""
        settings = asdict(self)
        if self.final.layer == "published":
            del settings["final"]["layer"], settings["final"]["steps"]
        if not self.final.dropout2:
            del settings["final"]["dropout2"]
        return settings

    def __post_init__(self) -> None:
        problems = []
        if self.interest == "transformer" and self.transformer.last > self.max_len:
            problems.append(
                f"transformer.last = {self.transformer.last} exceeds max_len = {self.max_len};"
                " lower transformer.last or raise max_len"
            )
        gated = self.interaction == "final" and self.final.gating
        if gated and self.content_dim != self.embedding_dim:
            problems.append(
                f"final.gating weighs fields of one width: content_dim = {self.content_dim} must"
                f" equal embedding_dim = {self.embedding_dim}"
            )
        if gated and self.columns:
            problems.append("final.gating weighs fields of one width, and columns have none")
        if problems:
            raise ValueError("; ".join(problems))
