"""Settings of the one training loop, declared as those in models.settings."""

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """The one training loop: Adam, L2 over whole embedding tables, decay on plateau.

    Epochs without a better AUC count once the warm-up is over (models.training.warm_up).
    """

    batch_size: Annotated[int, "[2, inf) rows", "Rows of one training step."] = 8192
    learning_rate: Annotated[float, "(0, inf)", "Adam's step size when a fit begins."] = 1e-3
    warmup_steps: Annotated[
        int,
        "[0, inf) steps",
        "The learning rate rises linearly over so many first steps; 0: it is whole from the first.",
    ] = 0
    decay: Annotated[
        float,
        "(0, 1]",
        "Factor of the learning rate after decay_patience epochs without a better AUC.",
    ] = 0.1
    decay_patience: Annotated[
        int, "[1, inf) epochs", "Epochs without a better AUC before the learning rate decays."
    ] = 1
    min_learning_rate: Annotated[float, "[0, inf)", "The decay stops at this value."] = 1e-6
    patience: Annotated[
        int,
        "[1, inf) epochs",
        "Epochs without a better AUC that end a fit, once its warm-up is over.",
    ] = 3
    max_epochs: Annotated[int, "[1, inf) epochs", "The fit ends after so many epochs."] = 100
    embedding_l2: Annotated[
        float,
        "[0, inf)",
        "lambda of the penalty (lambda / 2) sum w^2 over whole embedding tables at every step; the"
        " fewer rows an item has, the stronger it should be.",
    ] = 1e-6
    clip_norm: Annotated[float, "(0, inf)", "Largest norm of all gradients together."] = 10.0
    loss: Annotated[
        Literal["bce", "bce_bpr", "listwise", "focal", "contrastive"],
        "What training minimises: the log loss (bce), the log loss mixed with a pairwise one"
        " (bce_bpr) or with a listwise one over slates, the rows of equal user and history"
        " (listwise), the focal loss, or the log loss with a contrastive term.",
    ] = "bce"
    label_smoothing: Annotated[
        float,
        "[0, 1)",
        "How far the log loss moves labels from 0 and 1 towards 1/2; not read by the focal loss.",
    ] = 0.0
    bpr_share: Annotated[
        float, "[0, 1]", "Share of the pairwise term in bce_bpr; the rest is the log loss."
    ] = 0.2
    listwise_share: Annotated[
        float,
        "[0, 1]",
        "Share of the softmax cross-entropy of slates in listwise; the rest is the log loss.",
    ] = 0.5
    focal_gamma: Annotated[
        float, "[0, inf)", "How much less the focal loss counts rows that are already right."
    ] = 2.0
    contrastive_weight: Annotated[float, "[0, inf)", "Weight of the contrastive term."] = 0.1
    contrastive_temperature: Annotated[float, "(0, inf)", "Temperature of its softmax."] = 0.1
    ema: Annotated[
        float,
        "[0, 1)",
        "Decay of a moving average of the weights over the steps, which is evaluated and kept in"
        " the place of the last weights; 0 keeps none.",
    ] = 0.0
    item_dropout: Annotated[
        float,
        "[0, 1)",
        "Probability with which a training step leaves out the learned id of an item, so that its"
        " content carries it too; for items that no train row holds.",
    ] = 0.0
    prefixes: Annotated[
        int,
        "[0, 10000] items",
        "How many of the last items of each train user's longest history are clicks to train on as"
        " well, with the items before them as history and negatives drawn as the data's own were.",
    ] = 0
    prefix_decay: Annotated[
        float,
        "(0, 1]",
        "Weight of rows of prefixes in the log loss: decay for the newest item, decay^2 for the one"
        " before it, and so on; 1 counts them as other rows.",
    ] = 1.0
    precision: Annotated[
        Literal["auto", "float32", "tf32", "medium", "bf16"],
        "Precision of matrix products in training; tf32 needs a GPU of compute capability 8.0 or"
        " newer, medium a CPU with AMX; auto takes tf32 on such a GPU, else float32.",
    ] = "float32"

    @property
    def unread(self) -> set[str]:
        """Keys that nothing reads: those that the chosen loss does not, and the weight of prefixes
        where there are none."""
        of_loss = {
            "bce_bpr": {"bpr_share"},
            "listwise": {"listwise_share"},
            "focal": {"focal_gamma"},
            "contrastive": {"contrastive_weight", "contrastive_temperature"},
        }
        unread = set().union(*(keys for loss, keys in of_loss.items() if loss != self.loss))
        unread |= {"label_smoothing"} if self.loss == "focal" else set()
        return unread if self.prefixes else unread | {"prefix_decay"}

    @property
    def weighs_rows(self) -> bool:
        """Whether the log loss counts rows by their weight."""
        return self.prefixes > 0 and self.prefix_decay < 1

    def __post_init__(self) -> None:
        """Raises ValueError where weights of rows are asked for with a loss that has none."""
        if self.weighs_rows and self.loss != "bce":
            raise ValueError(
                f"prefix_decay = {self.prefix_decay:g} weighs the rows of the log loss: loss ="
                f" {self.loss!r} must be 'bce', or prefix_decay 1"
            )
