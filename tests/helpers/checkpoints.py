"""The names in published checkpoints, spelt out, and networks saved under them."""

import torch

from models.interop.fuxictr import names
from models.network import Network

LEAVES = ("weight", "bias")
NORM = (*LEAVES, "running_mean", "running_var", "num_batches_tracked")
TABLES = [
    f"embedding_layer.embedding_layer.{table}.weight"
    for table in (
        "embedding_layers.likes_level",
        "embedding_layers.views_level",
        "embedding_layers.item_id",
        "embedding_layers.item_tags",
        "feature_encoders.item_emb_d128",
    )
]


def each(*modules: str, leaves: tuple[str, ...] = LEAVES) -> list[str]:
    return [f"{module}.{leaf}" for module in modules for leaf in leaves]


def qin(layers: int) -> list[str]:
    attention = each(*(f"attention_layers.W_{x}" for x in "qkvo"), leaves=("weight",))
    banks = each(*(f"qnn.layer.{i}.linear.0" for i in range(layers)))
    norms = each(*(f"qnn.norm.{i}" for i in range(layers)), leaves=NORM)
    slopes = each(*(f"qnn.activation.{i}" for i in range(layers)), leaves=("weight",))
    return [*TABLES, *attention, *banks, *norms, *slopes, *each("qnn.fc")]


def din(dropout: bool) -> list[str]:
    """Two hidden layers in either MLP."""
    attention = (0, 3, 6) if dropout else (0, 2, 4)
    linears, norms = ((0, 4, 8), (1, 5)) if dropout else ((0, 3, 6), (1, 4))
    return [
        *TABLES,
        *each(*(f"attention_layers.attention_layer.mlp.{i}" for i in attention)),
        *each(*(f"dnn.mlp.{i}" for i in linears)),
        *each(*(f"dnn.mlp.{i}" for i in norms), leaves=NORM),
    ]


def transformer_dcn(dropout: bool) -> list[str]:
    """One encoder layer, one cross layer, two deep layers, one over both."""
    layer, second = "transformer_encoder.transformer_encoder.layers.0", 3 if dropout else 2
    modules = ("self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
    return [
        *TABLES,
        *(f"{layer}.self_attn.in_proj_{leaf}" for leaf in LEAVES),
        *each(*(f"{layer}.{module}" for module in modules)),
        *each("transformer_encoder.out_linear", "crossnet.cross_layers.0"),
        *each("parallel_dnn.mlp.0", f"parallel_dnn.mlp.{second}"),
        *each("mlp.mlp.0", f"mlp.mlp.{second}"),
    ]


def saved(network: torch.nn.Module, published: list[str]) -> dict[str, torch.Tensor]:
    """The network's state under the names of the published implementation."""
    state = network.state_dict()
    ours = {theirs: key for key, theirs in names(network, published).items()}
    assert set(ours) == set(published)
    return {theirs: state[ours[theirs]].clone() for theirs in published}


def randomised(network: Network, seed: int = 0) -> Network:
    """Random weights and statistics: large enough to show mistakes, too small to saturate."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                spread = value.shape[-1] ** -0.5 if value.ndim > 1 else 0.3
                drawn = torch.randn(value.shape, generator=g, dtype=value.dtype) * spread
                value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
        for module in network.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight[0] = 0
    return network
