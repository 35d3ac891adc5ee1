"""FINAL's settings, for networks over histories and for networks over fields.

How a setting is declared: models.settings.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

Activation = Literal["none", "relu", "sigmoid", "tanh"]

ACTIVATIONS: tuple[str, ...] = get_args(Activation)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalSettings:
    """FINAL's factorised interaction blocks (Zhu et al. 2023)."""

    layer: Annotated[
        Literal["published", "paper"],
        "The layer of the blocks: published, the published implementation's; paper, the paper's"
        " equation 1.",
    ] = "published"
    steps: Annotated[
        int,
        "[2, inf)",
        "N of equation 1, with layer = paper: the number of linear maps of a layer, and its degree"
        " where there is no activation.",
    ] = 2
    block1: Annotated[
        tuple[int, ...], "one or more of [1, inf)", "Widths of the first block's layers."
    ] = (400, 400)
    block2: Annotated[
        tuple[int, ...],
        "[1, inf)",
        "Widths of the second block's layers; empty for the network with one block, which has no"
        " distillation.",
    ] = (400,)
    residual: Annotated[
        Literal["concat", "sum"],
        "How a layer combines its halves g and q, with layer = published: concat, [g ; g * q], each"
        " half as wide; sum, g + g * q.",
    ] = "concat"
    activation1: Annotated[
        Activation,
        "Activation of the first block: after its layers, or with layer = paper of the factors"
        " within them.",
    ] = "none"
    activation2: Annotated[
        Activation, "Activation of the second block, at the same place as activation1."
    ] = "none"
    gating: Annotated[
        bool,
        "Whether the first block also sees every field weighted by a gate over all fields; needs"
        " content_dim equal to embedding_dim.",
    ] = False
    distillation: Annotated[
        bool,
        "Whether each block also learns from the mean of both; otherwise the loss sees their mean"
        " alone.",
    ] = True
    dropout: Annotated[float, "[0, 1)", "Dropout after each layer of the blocks."] = 0.1
    dropout2: Annotated[
        tuple[float, ...],
        "[0, 1)",
        "Dropout after each layer of the second block, where it is not `dropout`; empty: it is.",
    ] = ()
    batch_norm: Annotated[bool, "Whether each layer has batch normalisation."] = True

    @property
    def unread(self) -> set[str]:
        """Keys that nothing reads: those of a second block, and of the other layer."""
        keys = {"residual"} if self.layer == "paper" else {"steps"}
        return keys if self.block2 else keys | {"activation2", "distillation", "dropout2"}

    @property
    def dropouts(self) -> tuple[float, float]:
        """Of the first and of the second block."""
        return self.dropout, *(self.dropout2 or (self.dropout,))

    @property
    def form(self) -> str:
        """What decides which settings it reads, for messages."""
        return f"{self.layer} layer, {'two blocks' if self.block2 else 'one block'}"

    def __post_init__(self) -> None:
        if len(self.dropout2) > 1:
            raise ValueError(
                f"dropout2: {self.dropout2} must hold one number at most, for all layers of block2"
            )
        halves = self.layer == "published" and self.residual == "concat"
        if halves and any(w % 2 for w in (*self.block1, *self.block2)):
            raise ValueError("block1 and block2 must be even: concat splits a layer in halves")
