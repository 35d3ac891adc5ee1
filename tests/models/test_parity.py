"""Against the results of the published implementations.

Every array of every fixture is compared, or is an input. What the families compute is tested
without fixtures too: test_interest, test_interaction, test_transformer, test_network, test_fit.
"""

import pytest
import torch
import torch.nn.functional as F

from models.final_settings import ACTIVATIONS
from models.layers.din_attention import DinAttention
from models.layers.final.network import FinalNetwork
from models.layers.quadratic import QuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.network import Network
from models.settings import (
    CrossSettings,
    DinSettings,
    FinalSettings,
    FitSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
    TransformerSettings,
)
from models.training.fit import train_epoch
from models.training.losses import loss
from models.training.update import add_embedding_l2
from tests.helpers.networks.parity import (
    FAMILIES,
    FIXTURES,
    Fixture,
    fixtures,
    marks,
    network_of,
    ragged,
    rows_of,
    whole,
)

pytestmark = marks


@fixtures("asta")
def test_sparse_target_attention(path, dtype):
    z = Fixture(path, dtype)
    layer = SparseTargetAttention(z.meta["input_dim"], z.meta["attention_dim"]).to(dtype)
    z.load(layer)
    target, sequence = (z[f"in/{name}"].requires_grad_() for name in ("target", "sequence"))
    out = layer(target, sequence.flatten(0, 1), ragged(z["in/mask"]))
    lost = (out * z["in/cotangent"]).sum()
    lost.backward()
    z.close(out, "out/output")
    z.close(lost, "out/loss")
    z.close(target.grad, "grad_in/target")
    z.close(sequence.grad, "grad_in/sequence")
    z.close_gradients(layer, "grad")
    z.finish()


@fixtures("qnn")
def test_quadratic_network_with_and_without_batch_norm(path, dtype):
    z = Fixture(path, dtype)
    for norm in ("bn", "nobn"):
        s = QnnSettings(
            layers=z.meta["num_layers"],
            rows=z.meta["num_row"],
            dropout=z.meta["net_dropout"],
            batch_norm=norm == "bn",
        )
        net = QuadraticNetwork(z.meta["input_dim"], s).to(dtype)
        for mode in ("eval", "train"):
            run, x = f"{norm}_{mode}", z["in/x"].requires_grad_()
            z.load(net, f"w_{norm}")
            net.train(mode == "train").zero_grad()
            logit = net(x)
            lost = (logit * z["in/cotangent"]).sum()
            lost.backward()
            z.close(logit, f"out_{run}/logit")
            z.close(lost, f"out_{run}/loss")
            z.close(x.grad, f"grad_in_{run}/x")
            z.close_gradients(net, f"grad_{run}", f"w_{norm}")
            z.close_state(net, f"after_{run}", f"w_{norm}")
    z.finish()


def check_mode(z: Fixture, network: Network, mode: str) -> None:
    """Outputs, losses, gradients and, after training, running statistics of a whole network."""
    rows, label = rows_of(z)
    penalty = z.meta["embedding_regularizer"]
    batch = rows.batch(whole(rows))
    z.load(network)
    logit = network.train(mode.startswith("train"))(batch)
    z.load(network)  # running statistics have moved
    network.zero_grad()
    lost = loss(network, batch, label, FitSettings(loss="bce"))
    lost.backward()
    add_embedding_l2(network.embedding_tables(), penalty)
    z.close_gradients(network, f"grad_{mode}")
    z.close_state(network, f"after_{mode}")
    reg = penalty / 2 * sum(table.square().sum() for table in network.embedding_tables())
    losses = {"loss_bce": lost, "reg": reg, "loss_total": lost + reg}
    for name, got in {"logit": logit, "prob": logit.sigmoid(), **losses}.items():
        if f"out_{mode}/{name}" in z:
            z.close(got, f"out_{mode}/{name}")


def check_without_gradients(z: Fixture, network: Network, mode: str, sequence: str) -> None:
    rows, _ = rows_of(z, sequence)
    z.load(network)
    with torch.no_grad():
        logit = network.eval()(rows.batch(whole(rows)))
    z.close(logit.sigmoid(), f"out_{mode}/prob")


def check_steps(z: Fixture, network: Network, n_steps: int) -> None:
    """The whole state after training steps on the same batch."""
    rows, label = rows_of(z)
    s = FitSettings(
        learning_rate=z.meta["learning_rate"],
        embedding_l2=z.meta["embedding_regularizer"],
        clip_norm=z.meta["max_gradient_norm"],
    )
    z.load(network)
    adam = torch.optim.Adam(network.parameters(), lr=s.learning_rate, fused=True)
    for _ in range(n_steps):
        train_epoch(network, iter([(rows.batch(whole(rows)), label)]), adam, s)
    z.close_state(network, f"after_{n_steps}_steps")


@fixtures("qin")
def test_qin_and_its_state_after_two_steps(path, dtype):
    z = Fixture(path, dtype)
    s = NetworkSettings(
        interest="asta",
        interaction="qnn",
        embedding_dim=z.meta["embedding_dim"],
        max_len=z.meta["max_len"],
        qnn=QnnSettings(
            layers=z.meta["num_layers"],
            rows=z.meta["num_row"],
            dropout=z.meta["net_dropout"],
            batch_norm=z.meta["batch_norm"],
        ),
    )
    network = network_of(z, s)
    check_mode(z, network, "eval")
    check_mode(z, network, "train")
    check_without_gradients(z, network, "eval_nograd", "in/item_seq")
    check_steps(z, network, 2)
    z.finish()


@fixtures("din")
def test_din_with_and_without_softmax_and_its_attention_alone(path, dtype):
    z = Fixture(path, dtype)
    attention, dnn = (tuple(z.meta[f"{n}_hidden_units"]) for n in ("attention", "dnn"))
    for softmax in (False, True):
        s = NetworkSettings(
            interest="din",
            interaction="mlp",
            embedding_dim=z.meta["embedding_dim"],
            max_len=z.meta["max_len"],
            din=DinSettings(hidden=attention, softmax=softmax),
            mlp=MlpSettings(hidden=dnn, dropout=0.0, batch_norm=z.meta["batch_norm"]),
        )
        network = network_of(z, s)
        if softmax:
            check_without_gradients(z, network, "eval_softmax", "in/item_seq")
            continue
        check_mode(z, network, "eval")
        check_mode(z, network, "train")
        check_without_gradients(z, network, "eval_nograd", "in/item_seq")
        alone: DinAttention = network.interest
        items = z["in_att/sequence"].flatten(0, 1)
        z.close(alone(z["in_att/target"], items, ragged(z["in_att/mask"])), "out_att/pooled")
    z.finish()


@fixtures("momo")
def test_transformer_dcn_with_the_published_mask_and_with_the_mask_put_right(path, dtype):
    z = Fixture(path, dtype)
    for mask, modes in (("as_published", ("eval", "train")), ("real", ("eval_fixedmask",))):
        s = NetworkSettings(
            interest="transformer",
            interaction="cross",
            embedding_dim=z.meta["embedding_dim"],
            max_len=z.meta["max_len"],
            transformer=TransformerSettings(
                layers=z.meta["transformer_layers"],
                heads=z.meta["num_heads"],
                feedforward=z.meta["dim_feedforward"],
                last=z.meta["first_k_cols"],
                dropout=0.0,
                mask=mask,
            ),
            cross=CrossSettings(
                layers=z.meta["dcn_cross_layers"],
                deep=tuple(z.meta["dcn_hidden_units"]),
                hidden=tuple(z.meta["mlp_hidden_units"]),
                dropout=0.0,
                batch_norm=z.meta["batch_norm"],
            ),
        )
        network = network_of(z, s)
        for mode in modes:
            check_mode(z, network, mode)
        if mask == "as_published":
            check_without_gradients(z, network, "eval_nograd", "in/item_seq")
            check_without_gradients(z, network, "eval_swapped_history", "in/item_seq_swapped")
            rows, _ = rows_of(z)
            position, kept = network.interest.slots(rows.batch(whole(rows)).history)
            assert torch.equal(position > 0, z["in/mask_before"] > 0)
            assert torch.equal(~kept, z["in/mask_after"] > 0)
        else:
            check_without_gradients(z, network, "eval_fixedmask", "in/item_seq")
    z.finish()


def activation(names: str | list[str | None] | None) -> str:
    """One name for all layers of a block, ours of FuxiCTR's."""
    each = {str(name).lower() for name in (names if isinstance(names, list) else [names])}
    assert len(each) == 1, f"a block has one activation: {names}"
    assert each <= set(ACTIVATIONS)
    return each.pop()


@fixtures("finalnet")
@pytest.mark.parametrize("residual", ["concat", "sum"])
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_final_blocks_and_their_distillation(path, dtype, n_blocks, residual):
    z = Fixture(path, dtype)
    run = f"{n_blocks}B_{residual}"
    s = FinalSettings(
        block1=tuple(z.meta["block1_hidden_units"]),
        block2=tuple(z.meta["block2_hidden_units"]) if n_blocks == 2 else (),
        residual=residual,
        activation1=activation(z.meta["block1_hidden_activations"]),
        activation2=activation(z.meta["block2_hidden_activations"]),
        gating=z.meta["use_feature_gating"],
        dropout=0.0,
        batch_norm=z.meta["batch_norm"],
    )
    n_fields, dim = z.meta["num_fields"], z.meta["embedding_dim"]
    net = FinalNetwork(n_fields * dim, s, dim).to(dtype)
    tables = {k: w for k, w in z.under(f"w_{run}").items() if k.startswith("embedding_layer.")}
    label = z["in/label"].to(dtype)
    for mode in ("eval", "train"):
        leaves = {name: table.clone().requires_grad_() for name, table in tables.items()}
        columns = zip(leaves.values(), z["in/X"].T, strict=True)
        x = torch.cat([F.embedding(ids, table, padding_idx=0) for table, ids in columns], dim=1)
        z.load(net, f"w_{run}", tables="embedding_layer.")
        branches = net.train(mode == "train")(x)
        z.load(net, f"w_{run}", tables="embedding_layer.")
        net.zero_grad()
        lost = loss(net, x, label, FitSettings(loss="bce"))
        lost.backward()
        logit = branches.mean(1)
        outputs = {f"y{b + 1}_logit": branch for b, branch in enumerate(branches.T)}
        outputs |= {"prob": logit.sigmoid(), "loss_total": lost}
        outputs["loss_bce"] = F.binary_cross_entropy_with_logits(logit, label)
        for name, got in outputs.items():
            if n_blocks == 2 or name != "y1_logit":
                z.close(got, f"out_{run}_{mode}/{name}")
        for name, leaf in leaves.items():
            z.close(leaf.grad, f"grad_{run}_{mode}/{name}")
        z.close_gradients(net, f"grad_{run}_{mode}", f"w_{run}")
        z.close_state(net, f"after_{run}_{mode}", f"w_{run}")
    z.unread = {key for key in z.unread if run in key.split("/")[0]}
    z.finish()


def test_every_fixture_is_of_a_family_that_a_test_takes():
    strangers = [p.name for p in FIXTURES.glob("*.npz") if p.stem.rsplit("_", 1)[0] not in FAMILIES]
    assert not strangers
