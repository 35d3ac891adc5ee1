"""The names that the published implementations give to the parameters of our networks.

    QIN (salmon1802/QIN), DIN (the organisers' baseline), Transformer_DCN (the winning entry) and
    FinalNet: FuxiCTR's state_dict names, beside ours

FuxiCTR counts Dropout modules in the numbers of an MLP's layers, and has them only where the rate
is not 0: dnn.mlp.0, 1, 4, 5, 8 and dnn.mlp.0, 1, 3, 4, 6 name the same network. The order of the
numbers decides.
"""

from collections.abc import Collection, Iterable, Mapping

from torch import Tensor, nn

from models.layers.cross import CrossTower
from models.layers.din_attention import DinAttention
from models.layers.final.network import FinalNetwork
from models.layers.final.published import PublishedLayer
from models.layers.mlp import Mlp
from models.layers.quadratic import QuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.layers.transformer import TransformerInterest
from models.network import Network

EMBEDDING = "embedding_layer.embedding_layer."
TABLES = {
    "likes": EMBEDDING + "embedding_layers.likes_level",
    "views": EMBEDDING + "embedding_layers.views_level",
    "item.id": EMBEDDING + "embedding_layers.item_id",
    "item.tag": EMBEDDING + "embedding_layers.item_tags",
    "item.content_map": EMBEDDING + "feature_encoders.item_emb_d128",
}
PREFIXES = {  # of the names of a part's parameters
    SparseTargetAttention: "attention_layers.",
    DinAttention: "attention_layers.attention_layer.",
    TransformerInterest: "transformer_encoder.",
    QuadraticNetwork: "qnn.",
    Mlp: "dnn.",
}


def as_ours(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published `state` under the names of `module`, a network or a part of one.

    Raises ValueError, as `matched` does, when it does not fit.
    """
    return matched(module, state, names(module, state))


def matched(
    module: nn.Module, state: Mapping[str, Tensor], named: Mapping[str, str]
) -> dict[str, Tensor]:
    """The state_dict of `module` from `state`, whose name for the parameter `key` is named[key].

    Raises ValueError, which lists the names in `state` that are missing, that `module` lacks and
    whose shapes differ.
    """
    ours = module.state_dict()
    problems = {
        "missing": [theirs for theirs in named.values() if theirs not in state],
        "extra": sorted(state.keys() - named.values()),
        "mis-shaped": [
            f"{theirs} {tuple(state[theirs].shape)}, expected {tuple(ours[key].shape)}"
            for key, theirs in named.items()
            if theirs in state and state[theirs].shape != ours[key].shape
        ],
    }
    messages = [f"{kind}: {'; '.join(names)}" for kind, names in problems.items() if names]
    if messages:
        raise ValueError(" | ".join(messages))
    return {key: state[theirs] for key, theirs in named.items()}


def names(module: nn.Module, published: Collection[str]) -> dict[str, str]:
    """Our state_dict key -> the published one, for `module`, a network or a part of one.

    published  names in a checkpoint; they only decide how an MLP's layers are numbered
    Raises ValueError when no published network has such a parameter.
    """
    modules = module_names(module, published)
    named = {}
    for key in module.state_dict():
        ours = next((name for name in modules if key.startswith(f"{name}.")), None)
        if ours is None:
            raise ValueError(f"no published network has {key}")
        named[key] = modules[ours] + key.removeprefix(ours)
    return named


def module_names(module: nn.Module, published: Collection[str]) -> dict[str, str]:
    """Our module -> theirs, both relative to `module`."""
    match module:
        case Network():
            named = dict(TABLES)
            for role, part in (("interest", module.interest), ("interaction", module.interaction)):
                prefix = PREFIXES.get(type(part), "")
                own = [n.removeprefix(prefix) for n in published if n.startswith(prefix)]
                inner = module_names(part, own)
                named |= {f"{role}.{ours}": prefix + theirs for ours, theirs in inner.items()}
            return named
        case SparseTargetAttention():
            return {"query": "W_q", "key": "W_k", "value": "W_v", "out": "W_o"}
        case DinAttention():
            return numbered("mlp", sequence(first=module.first, rest=module.rest), published)
        case TransformerInterest():
            return {"layers": "transformer_encoder.layers", "out": "out_linear"}
        case QuadraticNetwork():
            return quadratic_names(module) | {"head": "fc"}
        case Mlp():
            return numbered("mlp", sequence(hidden=module.hidden, head=module.head), published)
        case CrossTower():
            named = {"cross.layers": "crossnet.cross_layers"}
            named |= numbered("parallel_dnn.mlp", sequence(deep=module.deep), published)
            over = sequence(over=module.over, head=module.head)
            return named | numbered("mlp.mlp", over, published)
        case FinalNetwork():
            return final_names(module)
        case _:
            return {}


def quadratic_names(network: QuadraticNetwork) -> dict[str, str]:
    """Our parts of the layers -> theirs, which lie in one list for each kind of part."""
    named = {}
    for i in range(len(network.hidden)):
        ours = {"bank": f"layer.{i}.linear.0", "norm": f"norm.{i}", "activation": f"activation.{i}"}
        named |= {f"hidden.{i}.{part}": theirs for part, theirs in ours.items()}
    return named


def final_names(network: FinalNetwork) -> dict[str, str]:
    """Our blocks -> theirs, whose layers are numbered by factorised layer."""
    named = {"gate": "feature_gating.linear"}
    for b, block in enumerate(network.blocks):
        layer = -1
        for i, part in enumerate(block):
            if isinstance(part, PublishedLayer):
                layer += 1
                named[f"blocks.{b}.{i}"] = f"block{b + 1}.layer.{layer}"
            elif isinstance(part, nn.BatchNorm1d):
                named[f"blocks.{b}.{i}"] = f"block{b + 1}.norm.{layer}"
        named[f"heads.{b}"] = f"fc{b + 1}"
    return named


def sequence(**modules: nn.Module) -> list[tuple[str, nn.Module]]:
    """Our names and modules, in order, of those that FuxiCTR has in one Sequential."""
    flat: list[tuple[str, nn.Module]] = []
    for name, module in modules.items():
        if isinstance(module, nn.Sequential):
            flat += [(f"{name}.{i}", part) for i, part in enumerate(module)]
        else:
            flat.append((name, module))
    return flat


def numbered(
    prefix: str, modules: list[tuple[str, nn.Module]], published: Iterable[str]
) -> dict[str, str]:
    """Our module -> prefix.n, for those of `modules` that have parameters.

    The numbers are those in `published` where it has as many. Otherwise the checkpoint does not
    fit, and the numbers are those of the layout that shares most with it.
    """
    ours = [name for name, module in modules if list(module.parameters())]
    tails = (name.removeprefix(f"{prefix}.") for name in published if name.startswith(prefix + "."))
    theirs = sorted({int(n) for n in (tail.split(".")[0] for tail in tails) if n.isdecimal()})
    if len(theirs) != len(ours):
        layouts = (numbers(modules, dropout) for dropout in (True, False))
        theirs = max(layouts, key=lambda layout: len(set(theirs) & set(layout)))
    return {name: f"{prefix}.{n}" for name, n in zip(ours, theirs, strict=True)}


def numbers(modules: list[tuple[str, nn.Module]], dropout: bool) -> list[int]:
    """Indices of the modules with parameters in a Sequential with or without Dropout modules."""
    kept = [m for _, m in modules if dropout or not isinstance(m, nn.Dropout)]
    return [i for i, module in enumerate(kept) if list(module.parameters())]
