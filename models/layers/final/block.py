"""A FINAL block: factorised interaction layers, one behind the other.

    published   layer -> BatchNorm -> sigma -> Dropout           as in the published implementation
    paper       layer, sigma within it -> BatchNorm -> Dropout

Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023,
doi:10.1145/3539618.3591988. The equation says nothing of batch norm and dropout. Behind the paper's
layer they stand where the published implementation has them, on x': that is our choice.
"""

from torch import nn

from models.layers.dropout import Dropout
from models.layers.final.paper import PaperLayer
from models.layers.final.published import PublishedLayer
from models.settings import FinalSettings

ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def final_block(
    d_in: int, widths: tuple[int, ...], activation: str, dropout: float, cfg: FinalSettings
) -> nn.Sequential:
    """A stack of factorised layers. Shapes: x (B, d_in) float32 -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for before, after in zip((d_in, *widths), widths, strict=False):
        sigma = ACTIVATIONS[activation]()
        if cfg.layer == "paper":
            layers.append(PaperLayer(before, after, cfg.steps, sigma))
        else:
            layers.append(PublishedLayer(before, after, cfg.residual))
        if cfg.batch_norm:
            layers.append(nn.BatchNorm1d(after))
        if cfg.layer == "published" and activation != "none":
            layers.append(sigma)
        layers.append(Dropout(dropout))
    return nn.Sequential(*layers)
