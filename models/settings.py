"""What defines a network and its training: frozen, checked, read from the TOML beside it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

INTERESTS = ("mean", "din", "asta")
INTERACTIONS = ("mlp", "qnn", "final")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class QnnSettings:
    """Quadratic neural network (Li et al. 2025, arXiv:2504.17699)."""

    layers: int = 4
    rows: int = 4  # of each layer's bank; they differ only by the dropout inside the bank
    dropout: float = 0.1
    batch_norm: bool = True


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
    dropout: float = 0.1
    batch_norm: bool = True


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """embedding -> interest -> interaction -> logit; one section for each part that is chosen."""

    interest: str  # mean | din | asta
    interaction: str  # mlp | qnn | final
    embedding_dim: int = 64
    content_dim: int = 0  # width of the mapped content vector; 0: its own width, as published
    max_len: int = 64  # most recent history items that reach the network
    din: DinSettings = field(default_factory=DinSettings)
    asta: AstaSettings = field(default_factory=AstaSettings)
    qnn: QnnSettings = field(default_factory=QnnSettings)
    mlp: MlpSettings = field(default_factory=MlpSettings)
    final: FinalSettings = field(default_factory=FinalSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    @property
    def unread(self) -> set[str]:
        """Sections of parts that the network does not have."""
        return {*INTERESTS, *INTERACTIONS} - {"mean", self.interest, self.interaction}

    def __post_init__(self) -> None:
        problems = [*_choices(self), *_ranges(self)]
        if problems:
            raise ValueError("; ".join(problems))


def _choices(s: NetworkSettings) -> list[str]:
    allowed = (
        ("interest", s.interest, INTERESTS),
        ("interaction", s.interaction, INTERACTIONS),
        ("final.residual", s.final.residual, ("concat", "sum")),
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
        "fit.batch_size - 1": s.fit.batch_size - 1,  # batch norm needs two rows
        "fit.learning_rate": s.fit.learning_rate,
        "fit.patience": s.fit.patience,
        "fit.decay_patience": s.fit.decay_patience,
        "fit.max_epochs": s.fit.max_epochs,
        "fit.clip_norm": s.fit.clip_norm,
    }
    widths = {"din.hidden": s.din.hidden, "mlp.hidden": s.mlp.hidden}
    widths |= {"final.block1": s.final.block1, "final.block2": s.final.block2}
    shares = {f"{n}.dropout": getattr(s, n).dropout for n in ("din", "qnn", "mlp", "final")}
    problems = _outside("positive and finite", positive, lambda v: 0 < v < math.inf)
    problems += _outside("positive widths", widths, lambda v: min(v, default=1) > 0)
    problems += _outside("in [0, 1)", shares, lambda v: 0 <= v < 1)
    problems += _outside("in (0, 1]", {"fit.decay": s.fit.decay}, lambda v: 0 < v <= 1)
    not_negative = {
        "fit.embedding_l2": s.fit.embedding_l2,
        "fit.min_learning_rate": s.fit.min_learning_rate,
        "asta.width": s.asta.width,
        "content_dim": s.content_dim,
    }
    problems += _outside("0 or more, and finite", not_negative, lambda v: 0 <= v < math.inf)
    for name, value in (("din.hidden", s.din.hidden), ("final.block1", s.final.block1)):
        if not value:
            problems.append(f"{name} must hold at least one width")
    if s.final.residual == "concat" and any(w % 2 for w in (*s.final.block1, *s.final.block2)):
        problems.append(
            "final.block1 and final.block2 must be even: concat splits a layer in halves"
        )
    return problems


def _outside(expected: str, values: dict, fine: Callable[[Any], bool]) -> list[str]:
    return [f"{name} = {v} must be {expected}" for name, v in values.items() if not fine(v)]
