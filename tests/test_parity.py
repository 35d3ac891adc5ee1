"""Against what the published implementations computed, in float64.   run: ./run_tests.sh -m parity

Takes every fixture of a known family under PARITY_FIXTURES (default ../shared/parity): arrays
named w/ (weights), in/, out_<mode>/, grad_<mode>/, after_train/, after_2_steps/. What the families
compute is tested without fixtures too: test_interest, test_interaction, test_network, test_fit.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.din_attention import DinAttention
from models.final import FinalNetwork, self_distillation
from models.fit import add_embedding_l2, loss, train_epoch
from models.network import Network
from models.ragged import History
from models.settings import DinSettings, FitSettings, MlpSettings, NetworkSettings, QnnSettings
from models.sparse_target_attention import SparseTargetAttention
from models.table import Rows

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = Path(os.environ.get("PARITY_FIXTURES", ROOT.parent / "shared" / "parity"))
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason="no PARITY_FIXTURES, no ../shared/parity"),
]
TABLES = {
    "likes.weight": "embedding_layers.likes_level.weight",
    "views.weight": "embedding_layers.views_level.weight",
    "item.id.weight": "embedding_layers.item_id.weight",
    "item.tag.weight": "embedding_layers.item_tags.weight",
    "item.content_map.weight": "feature_encoders.item_emb_d128.weight",
}
WQKVO = {"query": "W_q", "key": "W_k", "value": "W_v", "out": "W_o"}


def fixtures(family: str):
    paths = sorted(FIXTURES.glob(f"{family}_*.npz"))
    return pytest.mark.parametrize("path", paths, ids=lambda p: p.stem)


def tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float64 if array.dtype.kind == "f" else torch.int64)


def close(got, want) -> None:
    torch.testing.assert_close(torch.as_tensor(got).detach(), tensor(want), rtol=1e-9, atol=1e-9)


def history(mask: Tensor) -> tuple[History, Tensor, Tensor]:
    """Ragged history of mask (B, L) over items flattened from (B, L); and (row, column)."""
    row, column = mask.nonzero(as_tuple=True)
    offsets = F.pad(mask.sum(1).cumsum(0), (1, 0))
    return History(row * mask.shape[1] + column, row, offsets), row, column


@fixtures("asta")
def test_sparse_target_attention(path):
    z = np.load(path)
    layer = SparseTargetAttention(z["in/target"].shape[1], len(z["w/W_q.weight"])).double()
    layer.load_state_dict({f"{o}.weight": tensor(z[f"w/{t}.weight"]) for o, t in WQKVO.items()})
    target, sequence = (tensor(z[f"in/{n}"]).requires_grad_() for n in ("target", "sequence"))
    entries, _, _ = history(tensor(z["in/mask"]) > 0)
    out = layer(target, sequence.flatten(0, 1), entries)
    (out * tensor(z["in/cotangent"])).sum().backward()
    close(out, z["out/output"])
    close(target.grad, z["grad_in/target"])
    close(sequence.grad, z["grad_in/sequence"])
    for ours, theirs in WQKVO.items():
        close(getattr(layer, ours).weight.grad, z[f"grad/{theirs}.weight"])


def indexed(z, prefix: str) -> list[str]:
    """Names of the modules prefix.0, prefix.1, ... that have weights, in order."""
    found = {k[2:].rsplit(".", 1)[0] for k in z.files if k.startswith(f"w/{prefix}.")}
    return sorted(found, key=lambda name: int(name.rsplit(".", 1)[1]))


def qin_names(network: Network, z) -> dict[str, str]:
    names = {f"interest.{o}": f"attention_layers.{t}" for o, t in WQKVO.items()}
    for i in range(len(network.interaction.layers)):
        ours = f"interaction.layers.{i}"
        names |= {f"{ours}.bank": f"qnn.layer.{i}.linear.0", f"{ours}.norm": f"qnn.norm.{i}"}
        names[f"{ours}.activation"] = f"qnn.activation.{i}"
    return names | {"interaction.out": "qnn.fc"}


def with_weights(module: torch.nn.Module, prefix: str) -> list[str]:
    return [f"{prefix}.{n}" for n, m in module.named_children() if list(m.parameters())]


def din_names(network: Network, z) -> dict[str, str]:
    ours = ["interest.first", *with_weights(network.interest.rest, "interest.rest")]
    names = dict(zip(ours, indexed(z, "attention_layers.attention_layer.mlp"), strict=True))
    tower = with_weights(network.interaction.tower, "interaction.tower")
    return names | dict(zip(tower, indexed(z, "dnn.mlp"), strict=True))


def whole(z, settings: NetworkSettings, names_of) -> tuple[Network, dict, Rows, Tensor]:
    """A network, our name -> theirs, its rows and labels, from the arrays of a fixture."""
    meta = json.loads(str(z["meta_json"]))
    tags, content = tensor(z["in/item_tags"]), tensor(z["in/item_emb_d128"])
    network = Network(settings, tags, content, meta["n_tag"]).double()
    modules = names_of(network, z)
    names = {ours: f"embedding_layer.embedding_layer.{theirs}" for ours, theirs in TABLES.items()}
    for key in network.state_dict():
        module, leaf = key.rsplit(".", 1)
        if module in modules:
            names[key] = f"{modules[module]}.{leaf}"
    assert set(names.values()) == {k[2:] for k in z.files if k.startswith("w/")}
    sequence = tensor(z["in/item_seq"])
    columns = [tensor(z[f"in/{n}"]) for n in ("item_id", "likes_level", "views_level")]
    offsets = F.pad((sequence > 0).sum(1).cumsum(0), (1, 0))
    every = torch.arange(len(sequence))
    rows = Rows(*columns, every, sequence[sequence > 0], offsets, meta["n_item"])
    return network, names, rows, tensor(z["in/label"]).double().flatten()


def check_whole(z, settings: NetworkSettings, names_of) -> None:
    meta = json.loads(str(z["meta_json"]))
    network, names, rows, label = whole(z, settings, names_of)
    weights = {ours: tensor(z[f"w/{theirs}"]) for ours, theirs in names.items()}
    every, penalty = torch.arange(len(label)), meta["embedding_regularizer"]
    for mode in ("eval", "train"):
        network.load_state_dict(weights)
        network.train(mode == "train").zero_grad()
        batch = rows.batch(every, meta["max_len"])
        lost = loss(network, batch, label)
        lost.backward()
        add_embedding_l2(network, penalty)
        close(lost, z[f"out_{mode}/loss_bce"])
        for ours, weight in network.named_parameters():
            close(weight.grad, z[f"grad_{mode}/{names[ours]}"])
        if mode == "eval":
            close(network(batch).sigmoid(), z["out_eval/prob"].flatten())
        for ours, value in network.state_dict().items():
            if mode == "train" and f"after_train/{names[ours]}" in z.files:
                close(value, z[f"after_train/{names[ours]}"])
    if "learning_rate" in meta:
        network.load_state_dict(weights)
        network.train()
        s = FitSettings(embedding_l2=penalty, clip_norm=meta["max_gradient_norm"])
        adam = torch.optim.Adam(network.parameters(), lr=meta["learning_rate"], fused=True)
        for _ in range(2):
            train_epoch(network, rows, label, [every], adam, s, meta["max_len"])
        for ours, value in network.state_dict().items():
            close(value, z[f"after_2_steps/{names[ours]}"])


@fixtures("qin")
def test_qin_and_its_state_after_two_steps(path):
    z = np.load(path)
    meta = json.loads(str(z["meta_json"]))
    qnn = QnnSettings(layers=meta["num_layers"], rows=meta["num_row"], dropout=0.0)
    s = NetworkSettings(
        interest="asta", interaction="qnn", embedding_dim=meta["embedding_dim"], qnn=qnn
    )
    check_whole(z, s, qin_names)


@fixtures("din")
def test_din_and_its_attention_alone(path):
    z = np.load(path)
    meta = json.loads(str(z["meta_json"]))
    att, dnn = tuple(meta["attention_hidden_units"]), tuple(meta["dnn_hidden_units"])
    s = NetworkSettings(
        interest="din",
        interaction="mlp",
        embedding_dim=meta["embedding_dim"],
        din=DinSettings(hidden=att),
        mlp=MlpSettings(hidden=dnn, dropout=0.0),
    )
    check_whole(z, s, din_names)
    network, names, _, _ = whole(z, s, din_names)
    network.load_state_dict({ours: tensor(z[f"w/{theirs}"]) for ours, theirs in names.items()})
    alone = DinAttention(network.item.width, att, dropout=0.0, softmax=False).double()
    alone.load_state_dict(network.interest.state_dict())
    entries, _, _ = history(tensor(z["in_att/mask"]) > 0)
    items = tensor(z["in_att/sequence"]).flatten(0, 1)
    close(alone(tensor(z["in_att/target"]), items, entries), z["out_att/pooled"])


@fixtures("finalnet")
@pytest.mark.parametrize("residual", ["concat", "sum"])
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_final_blocks_and_their_distillation(path, n_blocks, residual):
    z = np.load(path)
    meta = json.loads(str(z["meta_json"]))
    if meta["use_feature_gating"] or meta["block1_hidden_activations"]:
        pytest.skip("feature gating and activations between FINAL's layers are not built")
    run, combination = f"{n_blocks}B_{residual}", f"w_{n_blocks}B_{residual}/"
    widths = [tuple(meta[f"block{b + 1}_hidden_units"]) for b in range(n_blocks)]
    given = {
        k.removeprefix(combination): tensor(z[k]) for k in z.files if k.startswith(combination)
    }
    tables = [given[k] for k in given if "embedding" in k]
    x = torch.cat([t[i] for t, i in zip(tables, tensor(z["in/X"]).T, strict=True)], dim=1)
    net = FinalNetwork(x.shape[1], tuple(widths), residual, 0.0, batch_norm=True).double()
    names = {}
    for b, block in enumerate(widths):
        for i in range(len(block)):
            names[f"blocks.{b}.{3 * i}.linear"] = f"block{b + 1}.layer.{i}.linear"
            names[f"blocks.{b}.{3 * i + 1}"] = f"block{b + 1}.norm.{i}"
        head = f"fc{b + 1}" if f"fc{b + 1}.weight" in given else "fc"
        names[f"blocks.{b}.{3 * len(block)}"] = head
    theirs = {key: f"{names[(p := key.rsplit('.', 1))[0]]}.{p[1]}" for key in net.state_dict()}
    label = tensor(z["in/label"]).double().flatten()
    for mode in ("eval", "train"):
        net.load_state_dict({ours: given[name] for ours, name in theirs.items()})
        branches = net.train(mode == "train")(x)
        lost = F.binary_cross_entropy_with_logits(branches.mean(1), label)
        close(branches.mean(1).sigmoid(), z[f"out_{run}_{mode}/prob"].flatten())
        lost = lost + self_distillation(branches) if n_blocks > 1 else lost
        net.zero_grad()
        lost.backward()
        for ours, weight in net.named_parameters():
            close(weight.grad, z[f"grad_{run}_{mode}/{theirs[ours]}"])
