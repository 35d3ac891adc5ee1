"""What defines a network and its training: frozen, checked, read from the TOML beside it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

INTERESTS = ("mean", "din", "asta", "transformer")
INTERACTIONS = ("mlp", "qnn", "final", "cross")
ACTIVATIONS = ("none", "relu", "sigmoid", "tanh")
PRECISIONS = ("auto", "float32", "bf16")
LOSSES = ("bce", "bce_bpr", "focal", "contrastive")


@dataclass(frozen=True, slots=True, kw_only=True)
class DinSettings:
    """DIN's attention: an MLP scores [t; s; t - s; t * s] (Zhou et al. 2018, section 4.3)."""

    hidden: tuple[int, ...] = (512, 256)  # widths of the scoring MLP
    dropout: float = 0.0
    softmax: bool = False  # the organisers' baseline does not normalise the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class AstaSettings:
    """Adaptive sparse target attention (Li et al. 2025, arXiv:2504.17699)."""

    width: int = 0  # of the attention space; 0: twice the item representation, as published
    weights: str = "relu"  # of a score: relu, as published | softmax | relu2 (squared) | silu
    dropout: float = 0.0  # of the weights; the published network has none


@dataclass(frozen=True, slots=True, kw_only=True)
class QnnSettings:
    """Quadratic neural network (Li et al. 2025, arXiv:2504.17699)."""

    layers: int = 4
    rows: int = 4  # of each layer's bank; they differ only by the dropout inside the bank
    dropout: float = 0.1
    batch_norm: bool = True
    activation: str = "prelu"  # prelu | relu
    activate: str = "post"  # post: the product, as published | mid: the bank, before the product
    bank: str = "full"  # full, as published | collapsed: no dropout inside it, one matrix a layer


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpSettings:
    """The plain tower of the organisers' DIN baseline."""

    hidden: tuple[int, ...] = (1024, 512, 256)
    dropout: float = 0.1
    batch_norm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalSettings:
    """FINAL's factorised interaction blocks (Zhu et al. 2023)."""

    block1: tuple[int, ...] = (400, 400)
    block2: tuple[int, ...] = (400,)  # empty: the one-block network, without distillation
    residual: str = "concat"  # concat: [g ; g * q], each half as wide | sum: g + g * q
    activation1: str = "none"  # after block1's layers: none | relu | sigmoid | tanh
    activation2: str = "none"  # after block2's layers
    gating: bool = False  # block1 sees every field again, weighed by a gate over all fields
    distillation: bool = True  # two blocks learn from their mean; False: the mean alone learns
    dropout: float = 0.1
    batch_norm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerSettings:
    """The winning entry's encoder over [s_l ; t], its mask put right."""

    layers: int = 2
    heads: int = 1
    feedforward: int = 256
    last: int = 16  # most recent positions that are handed on as they are, beside the maximum
    dropout: float = 0.2
    mask: str = "real"  # real items attend and are kept | as_published: the padding is


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSettings:
    """Cross network v2 (Wang et al. 2021) beside a deep tower, and an MLP over both."""

    layers: int = 3
    deep: tuple[int, ...] = (1024, 512, 256)
    hidden: tuple[int, ...] = (64, 32)  # of the MLP over [cross ; deep]
    dropout: float = 0.2
    batch_norm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """The one training loop: Adam, L2 over whole embedding tables, decay on plateau."""

    batch_size: int = 8192
    learning_rate: float = 1e-3
    decay: float = 0.1  # learning rate factor after `decay_patience` epochs without a better AUC
    decay_patience: int = 1
    min_learning_rate: float = 1e-6
    patience: int = 3  # epochs without a better AUC before the fit ends
    max_epochs: int = 100
    embedding_l2: float = 1e-6  # lambda of (lambda / 2) sum w^2 over the whole tables, every step
    clip_norm: float = 10.0  # of the gradient of all parameters together
    loss: str = "bce"  # bce | bce_bpr | focal | contrastive
    bpr_share: float = 0.2  # bce_bpr: of the pairwise term; the rest is the log loss
    focal_gamma: float = 2.0  # focal: how much a row that is already right counts for less
    contrastive_weight: float = 0.1  # contrastive: of the term added to the log loss
    contrastive_temperature: float = 0.1
    precision: str = (
        "float32"  # of products in training: auto | float32 | bf16, models/layers/precision.py
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """embedding -> interest -> interaction -> logit; one section for each part that is chosen."""

    interest: str  # mean | din | asta | transformer
    interaction: str  # mlp | qnn | final | cross
    embedding_dim: int = 64
    content_dim: int = 0  # width of the mapped content vector; 0: its own width, as published
    max_len: int = 64  # most recent history items that reach the network
    item_levels: bool = False  # likes and views levels of every item, of history items too
    item_codes: bool = False  # semantic codes of the content vector (prepare.codes), like tags
    user_id: bool = False  # an embedding a user; of use only where users have train rows
    din: DinSettings = field(default_factory=DinSettings)
    asta: AstaSettings = field(default_factory=AstaSettings)
    qnn: QnnSettings = field(default_factory=QnnSettings)
    mlp: MlpSettings = field(default_factory=MlpSettings)
    final: FinalSettings = field(default_factory=FinalSettings)
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    cross: CrossSettings = field(default_factory=CrossSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    @property
    def unread(self) -> set[str]:
        """Sections and keys that nothing reads: of parts and losses that the network lacks."""
        parts = {*INTERESTS, *INTERACTIONS} - {"mean", self.interest, self.interaction}
        of_loss = {
            "bce_bpr": {"fit.bpr_share"},
            "focal": {"fit.focal_gamma"},
            "contrastive": {"fit.contrastive_weight", "fit.contrastive_temperature"},
        }
        for keys in (keys for loss, keys in of_loss.items() if loss != self.fit.loss):
            parts |= keys
        return parts | (set() if self.final.block2 else {"final.activation2", "final.distillation"})

    def __post_init__(self) -> None:
        problems = [*_choices(self), *_ranges(self)]
        if problems:
            raise ValueError("; ".join(problems))


def _choices(s: NetworkSettings) -> list[str]:
    allowed = (
        ("interest", s.interest, INTERESTS),
        ("interaction", s.interaction, INTERACTIONS),
        ("asta.weights", s.asta.weights, ("relu", "softmax", "relu2", "silu")),
        ("qnn.activation", s.qnn.activation, ("prelu", "relu")),
        ("qnn.activate", s.qnn.activate, ("post", "mid")),
        ("qnn.bank", s.qnn.bank, ("full", "collapsed")),
        ("final.residual", s.final.residual, ("concat", "sum")),
        ("final.activation1", s.final.activation1, ACTIVATIONS),
        ("final.activation2", s.final.activation2, ACTIVATIONS),
        ("transformer.mask", s.transformer.mask, ("real", "as_published")),
        ("fit.loss", s.fit.loss, LOSSES),
        ("fit.precision", s.fit.precision, PRECISIONS),
    )
    return [
        f"{name} = {value!r} must be one of {', '.join(known)}"
        for name, value, known in allowed
        if value not in known
    ]


def _ranges(s: NetworkSettings) -> list[str]:
    positive = {
        "embedding_dim": s.embedding_dim,
        "max_len": s.max_len,
        "qnn.layers": s.qnn.layers,
        "qnn.rows": s.qnn.rows,
        "transformer.layers": s.transformer.layers,
        "transformer.heads": s.transformer.heads,
        "transformer.feedforward": s.transformer.feedforward,
        "transformer.last": s.transformer.last,
        "cross.layers": s.cross.layers,
        "fit.batch_size - 1": s.fit.batch_size - 1,  # batch norm needs two rows
        "fit.learning_rate": s.fit.learning_rate,
        "fit.patience": s.fit.patience,
        "fit.decay_patience": s.fit.decay_patience,
        "fit.max_epochs": s.fit.max_epochs,
        "fit.clip_norm": s.fit.clip_norm,
        "fit.contrastive_temperature": s.fit.contrastive_temperature,
    }
    widths = {"din.hidden": s.din.hidden, "mlp.hidden": s.mlp.hidden}
    widths |= {"final.block1": s.final.block1, "final.block2": s.final.block2}
    widths |= {"cross.deep": s.cross.deep, "cross.hidden": s.cross.hidden}
    parts = {*INTERESTS, *INTERACTIONS} - {"mean"}
    shares = {f"{n}.dropout": getattr(s, n).dropout for n in sorted(parts)}
    problems = _outside("positive and finite", positive, lambda v: 0 < v < math.inf)
    problems += _outside("positive widths", widths, lambda v: min(v, default=1) > 0)
    problems += _outside("in [0, 1)", shares, lambda v: 0 <= v < 1)
    problems += _outside("in (0, 1]", {"fit.decay": s.fit.decay}, lambda v: 0 < v <= 1)
    problems += _outside("in [0, 1]", {"fit.bpr_share": s.fit.bpr_share}, lambda v: 0 <= v <= 1)
    not_negative = {
        "fit.embedding_l2": s.fit.embedding_l2,
        "fit.min_learning_rate": s.fit.min_learning_rate,
        "fit.focal_gamma": s.fit.focal_gamma,
        "fit.contrastive_weight": s.fit.contrastive_weight,
        "asta.width": s.asta.width,
        "content_dim": s.content_dim,
    }
    problems += _outside("0 or more, and finite", not_negative, lambda v: 0 <= v < math.inf)
    needed = {"din.hidden": s.din.hidden, "final.block1": s.final.block1}
    for name, value in (needed | {"cross.deep": s.cross.deep}).items():
        if not value:
            problems.append(f"{name} must hold at least one width")
    if s.final.residual == "concat" and any(w % 2 for w in (*s.final.block1, *s.final.block2)):
        problems.append(
            "final.block1 and final.block2 must be even: concat splits a layer in halves"
        )
    if s.interest == "transformer" and s.transformer.last > s.max_len:
        problems.append(f"transformer.last = {s.transformer.last} exceeds max_len = {s.max_len}")
    if s.interaction == "final" and s.final.gating and s.content_dim != s.embedding_dim:
        problems.append(
            f"final.gating weighs fields of one width: content_dim = {s.content_dim} must equal"
            f" embedding_dim = {s.embedding_dim}"
        )
    return problems


def _outside(expected: str, values: dict, fine: Callable[[Any], bool]) -> list[str]:
    return [f"{name} = {v} must be {expected}" for name, v in values.items() if not fine(v)]
