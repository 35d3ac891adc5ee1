"""Columns as inputs: against loops, in training and prediction, and where they cannot be served."""

from dataclasses import replace

import pytest
import torch

from models.layers.columns import ColumnParts, Columns
from models.network import Network
from models.serving.interest import NoServingForm
from models.serving.network import ServingNetwork
from models.settings import ColumnPartsSettings, FinalSettings, QnnSettings
from models.training.fit import fit, predict
from tests.helpers.networks.small import N_USERS, items, rows, settings

CODES = torch.tensor(
    [[0, 1, 128, 7], [255, 3, 128, 0], [54, 9, 128, 200], [0, 255, 0, 1], [202, 128, 128, 90],
     [1, 2, 128, 3], [77, 78, 128, 79], [128, 0, 128, 0]],
    dtype=torch.uint8,
)  # fmt: skip
NULLS = [0, 1, 2, 3]
QIN = settings(columns=True, qnn=QnnSettings(layers=2, rows=3))


def with_codes(n_rows: int = 8):
    data, label = rows(n_rows=n_rows)
    return replace(data, columns=CODES.repeat(-(-n_rows // 8), 1)[:n_rows]), label


def network(s=QIN, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(s, items(), N_USERS, Columns.of_train([CODES])).double()


def by_hand(row: list[int], nulls: list[int]) -> list[float]:
    values = [(code - 128) / 74 if code > 0 else 0.0 for code in row]
    return values + [float(row[c] == 0) for c in nulls]


def test_inputs_are_codes_about_the_middle_and_nulls_of_columns_that_have_some():
    few = CODES[:3]  # nulls in the first and the last column alone
    part = Columns.of_train([few[:1], few[1:]]).double()
    assert part.nulls.tolist() == [0, 3]
    assert part.width == 6
    x = torch.tensor([by_hand(row, [0, 3]) for row in few.tolist()], dtype=torch.float64)
    variance = ((x - x.mean(0)) ** 2).mean(0)
    torch.testing.assert_close(part(few), (x - x.mean(0)) / (variance + 0.01).sqrt())
    norm = part.eval().norm
    want = (x - norm.running_mean) / (norm.running_var + 0.01).sqrt()
    torch.testing.assert_close(part(few), want)


def test_codes_of_equally_full_bins_have_about_unit_variance():
    x = (torch.arange(1, 256).double() - 128) / 74
    assert abs(x.mean()) < 1e-12
    assert 0.98 < x.var() < 1.02


def encoded(code: int) -> list[float]:
    """A code's 8 parts, one after the other filled from -1 to 1."""
    if code == 0:
        return [0.0] * 8
    filled = 8 * (code - 1) / 254
    return [2 * min(max(filled - t, 0), 1) - 1 for t in range(8)]


def test_the_hidden_layer_reads_the_parts_of_every_code():
    torch.manual_seed(0)
    layer = ColumnParts(4, ColumnPartsSettings(width=5, dropout=0.5)).double()
    parts = [[encoded(code) for code in row] for row in CODES.tolist()]
    x = torch.tensor(parts, dtype=torch.float64).flatten(1)
    z = x @ layer.linear.weight.T + layer.linear.bias
    normed = (z - z.mean(0)) / (((z - z.mean(0)) ** 2).mean(0) + 1e-5).sqrt()
    got = layer(CODES)
    kept = got != 0
    torch.testing.assert_close(got[kept], 2 * normed.clamp(min=0)[kept])
    assert (normed[~kept] > 0).any()  # dropped
    layer.eval()
    normed = (z - layer.norm.running_mean) / (layer.norm.running_var + 1e-5).sqrt()
    torch.testing.assert_close(layer(CODES), normed.clamp(min=0))


def test_a_network_without_the_hidden_layer_reads_the_columns_alone():
    net = network(replace(QIN, column_parts=ColumnPartsSettings(width=0))).eval()
    batch = with_codes()[0].batch(torch.tensor([5, 0, 3]))
    assert net.column_parts is None
    torch.testing.assert_close(net.features(batch)[:, -8:], net.columns(CODES[[5, 0, 3]]))


def test_the_input_of_the_interaction_ends_with_the_columns_of_the_row():
    data, _ = with_codes()
    net = network().eval()
    batch = data.batch(torch.tensor([5, 0, 3]))
    assert torch.equal(batch.columns, CODES[[5, 0, 3]])
    x, without = net.features(batch), replace(QIN, columns=False)
    plain = Network(without, items(), N_USERS).double().eval()
    width = plain.features(rows()[0].batch(torch.tensor([5, 0, 3]))).shape[1]
    assert x.shape[1] == width + 8 + 64
    torch.testing.assert_close(x[:, width : width + 8], net.columns(CODES[[5, 0, 3]]))
    torch.testing.assert_close(x[:, width + 8 :], net.column_parts(CODES[[5, 0, 3]]))
    torch.testing.assert_close(net(batch), net.interaction(x).mean(1))


@pytest.mark.parametrize(
    "s",
    [QIN, replace(QIN, interaction="final", final=FinalSettings(block1=(8, 4), block2=(6,)))],
    ids=["qin", "final"],
)
def test_prediction_is_the_network_in_eval_mode_row_by_row(s):
    data, _ = with_codes()
    net = network(s)
    for _ in range(3):
        net(data.batch(torch.arange(8)))  # running statistics that are not those of the start
    net.eval()
    alone = torch.cat([net(data.batch(torch.tensor([r]))) for r in range(8)])
    torch.testing.assert_close(predict(net, data, batch_size=3), alone.detach())
    others = replace(data, columns=data.columns.flip(0))
    assert (predict(net, others) - alone).abs().max() > 1e-6


def test_a_fit_on_rows_of_the_host_or_in_groups_reads_the_same_columns():
    data, label = with_codes(32)
    cfg, nets = replace(QIN.fit, max_epochs=2, batch_size=8), []
    for source in (data, replace(data, on_host=True)):
        nets.append(network())
        fit(nets[-1], source, label, source, label, cfg, seed=0, score=lambda label, logit: 0.5)
    for one, other in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(one, other)
    index = [torch.tensor([3, 1]), torch.tensor([30, 9])]
    groups = list(data.batches(index, data.counts([index])[0]))
    for batch, own in zip(groups, index, strict=True):
        assert torch.equal(batch.columns, data.columns[own])


def test_a_state_has_the_shape_of_its_columns():
    state = network().state_dict()
    again = Columns.of_state(state, "columns.")
    again.load_state_dict(
        {k.removeprefix("columns."): v for k, v in state.items() if "columns." in k}
    )
    assert (again.width, again.nulls.tolist()) == (8, NULLS)
    assert Columns.of_state({}, "columns.").width == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="columns = true needs rows with the columns"):
        Network(QIN, items(), N_USERS)
    with pytest.raises(NoServingForm, match="reads columns of 30_features, which no request"):
        ServingNetwork(network(), max_len=4)
    gated = FinalSettings(gating=True)
    with pytest.raises(ValueError, match=r"final.gating weighs fields of one width, and columns"):
        replace(QIN, interaction="final", final=gated, content_dim=4)
