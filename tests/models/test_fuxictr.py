"""Published names to ours and back."""

import pytest
import torch

from models.interop.fuxictr import as_ours, names
from models.items import ItemTable
from models.layers.final.network import FinalNetwork
from models.layers.quadratic import QuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.network import Network
from models.settings import (
    CrossSettings,
    DinSettings,
    FinalSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
    TransformerSettings,
)
from tests.helpers import checkpoints
from tests.helpers.checkpoints import NORM, each, randomised, saved
from tests.helpers.networks.small import network, settings

QIN = settings(qnn=QnnSettings(layers=2, rows=3))
DIN = settings(
    interest="din",
    interaction="mlp",
    din=DinSettings(hidden=(6, 4)),
    mlp=MlpSettings(hidden=(8, 5), batch_norm=True),
)
MOMO = settings(
    interest="transformer",
    interaction="cross",
    transformer=TransformerSettings(layers=1, feedforward=5, last=2),
    cross=CrossSettings(layers=1, deep=(6, 5), hidden=(4,)),
)
FAMILIES = {
    "qin": (QIN, checkpoints.qin(2)),
    "din, dropout": (DIN, checkpoints.din(True)),
    "din": (DIN, checkpoints.din(False)),
    "transformer_dcn, dropout": (MOMO, checkpoints.transformer_dcn(True)),
    "transformer_dcn": (MOMO, checkpoints.transformer_dcn(False)),
}
EACH = pytest.mark.parametrize(("s", "published"), FAMILIES.values(), ids=FAMILIES)


@EACH
def test_a_published_state_loads_whole(s, published):
    net = randomised(network(s))
    translated = as_ours(network(s, seed=1), saved(net, published))
    state = net.state_dict()
    assert list(translated) == list(state)
    assert all(torch.equal(translated[key], state[key]) for key in state)


@EACH
def test_weights_that_do_not_fit_are_listed_in_the_published_names(s, published):
    state = saved(network(s), published)
    absent, reshaped = published[-1], published[0]  # the output's bias; likes
    del state[absent]
    state[reshaped] = state[reshaped][1:]
    state["fm.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match="missing") as refused:
        as_ours(network(s), state)
    assert str(refused.value) == (
        f"missing: {absent} | extra: fm.weight | mis-shaped: {reshaped} (10, 4), expected (11, 4)"
    )


@pytest.mark.parametrize("dropout", [True, False])
def test_a_layer_too_few_is_missing_under_the_number_it_would_have(dropout):
    state = saved(network(DIN), checkpoints.din(dropout))
    layer = "dnn.mlp.8" if dropout else "dnn.mlp.6"
    del state[f"{layer}.weight"], state[f"{layer}.bias"]
    with pytest.raises(ValueError, match="missing") as refused:
        as_ours(network(DIN), state)
    assert str(refused.value) == f"missing: {layer}.weight; {layer}.bias"


def test_an_mlp_with_dropout_after_some_layers_only_is_read_in_order():
    net = network(DIN)
    published = [n.replace("dnn.mlp.8", "dnn.mlp.7") for n in checkpoints.din(True)]
    assert names(net, published)["interaction.head.weight"] == "dnn.mlp.7.weight"


def test_another_familys_checkpoint_is_refused_with_both_lists():
    with pytest.raises(ValueError, match=r"missing: attention_layers\.W_q.*extra: attention_lay"):
        as_ours(network(QIN), saved(network(DIN), checkpoints.din(True)))


@pytest.mark.parametrize("added", ["user_id", "item_codes"])
def test_weights_that_no_published_network_has_are_refused_by_name(added):
    net = network(settings(qnn=QnnSettings(layers=2, rows=3), **{added: True}))
    with pytest.raises(ValueError, match=r"no published network has (user|item\.code)\.weight"):
        names(net, checkpoints.qin(2))


def test_parts_alone_have_the_names_of_their_own_modules():
    attention = SparseTargetAttention(4, 6)
    assert list(names(attention, ()).values()) == [f"W_{x}.weight" for x in "qkvo"]
    qnn = QuadraticNetwork(4, QnnSettings(layers=2, rows=2, batch_norm=False))
    wanted = {*each("layer.0.linear.0", "layer.1.linear.0", "fc")}
    wanted |= {f"activation.{i}.weight" for i in range(2)}
    assert set(names(qnn, ()).values()) == wanted


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_final_blocks_are_numbered_layer_by_layer_whatever_lies_between(activation):
    s = FinalSettings(block1=(8, 4), block2=(6,), activation1=activation, gating=True)
    net = FinalNetwork(6, s, field_dim=2)
    published = [
        *each("feature_gating.linear", "block1.layer.0.linear", "block1.layer.1.linear"),
        *each("block2.layer.0.linear", "fc1", "fc2"),
        *each("block1.norm.0", "block1.norm.1", "block2.norm.0", leaves=NORM),
    ]
    assert sorted(names(net, ()).values()) == sorted(published)
    assert net.state_dict().keys() == as_ours(net, saved(net, published)).keys()


def test_the_published_settings_give_the_parameters_that_the_published_log_counts():
    """31,244,293, says QIN_variety_v9_9701.log of salmon1802/QIN (dim 128, four layers of four)."""
    with torch.device("meta"):
        items = ItemTable(
            tags=torch.zeros(91_718, 5, dtype=torch.int64),
            content=torch.zeros(91_718, 128),
            n_tags=11_740,
        )
        s = QnnSettings(layers=4, rows=4)
        net = Network(
            NetworkSettings(interest="asta", interaction="qnn", embedding_dim=128, qnn=s), items
        )
    assert sum(weight.numel() for weight in net.parameters()) == 31_244_293
