"""Rounded matrix products."""

import pytest
import torch

from models.layers import onednn, precision
from models.layers.precision import (
    Linear,
    is_wide,
    linear,
    matmul_precision,
    onednn_takes,
    resolve_precision,
)
from models.layers.sparse_target_attention import SparseTargetAttention
from models.settings import QnnSettings
from tests.helpers.networks.small import history, network, rows, settings

CPU = torch.device("cpu")


def test_bf16_rounds_the_factors_of_a_product_and_its_result_keeps_the_type_of_its_input():
    torch.manual_seed(0)
    linear, x = Linear(64, 5), torch.randn(7, 64)
    with matmul_precision("bf16", CPU):
        got = linear(x)
    factors = (x.bfloat16().double(), linear.weight.bfloat16().double())
    want = factors[0] @ factors[1].T + linear.bias.bfloat16().double()
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, rtol=2**-7, atol=1e-3)
    assert not torch.equal(got, linear(x))


@pytest.mark.parametrize("wanted", ["float32", "bf16"])
def test_a_single_output_is_never_rounded(wanted):
    torch.manual_seed(0)
    linear, x = Linear(64, 1), torch.randn(7, 64)
    with matmul_precision(wanted, CPU):
        assert torch.equal(linear(x), linear(x))
        got = linear(x)
    assert torch.equal(got, linear(x))


def test_attention_scores_are_never_rounded():
    torch.manual_seed(0)
    layer, target, of_items = SparseTargetAttention(8, 16), torch.randn(3, 8), torch.randn(6, 8)
    seen = history((2, 0, 4), 6)
    with matmul_precision("bf16", CPU):
        got = layer(target, of_items, seen)
    assert torch.equal(got, layer(target, of_items, seen))


def test_wide_float32_products_are_onednn_s_and_equal_but_for_rounding():
    torch.manual_seed(0)
    x, bank = torch.randn(70, 300, requires_grad=True), torch.randn(260, 1200, requires_grad=True)
    bias = torch.randn(260, requires_grad=True)
    weight, toward = bank.chunk(4, dim=1)[2], torch.randn(260, 70).T

    def results(product) -> list[torch.Tensor]:
        x.grad = bank.grad = bias.grad = None
        y = product(x, weight, bias)
        y.backward(toward)
        return [y, x.grad, bank.grad, bias.grad]

    assert onednn_takes(x)
    assert is_wide(x, weight)
    for got, want in zip(results(linear), results(torch.nn.functional.linear), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("biased", [True, False])
def test_torchs_private_operators_are_its_linear_map_packed_or_not(biased):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(7, 30), torch.randn(5, 30), torch.randn(5) if biased else None
    want = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(onednn.product(x, weight, bias), want)
    torch.testing.assert_close(onednn.product(x, onednn.pack(weight), bias), want)


@pytest.mark.parametrize(
    ("x", "weight", "precision"),
    [
        (torch.ones(3, 300), torch.ones(255, 300), "float32"),
        (torch.ones(3, 255), torch.ones(300, 255), "float32"),
        (torch.ones(0, 300), torch.ones(300, 300), "float32"),
        (torch.ones(3, 300).double(), torch.ones(300, 300).double(), "float32"),
        (torch.ones(3, 300), torch.ones(300, 300), "bf16"),
    ],
)
def test_other_products_are_torch_s_own(x, weight, precision):
    with matmul_precision(precision, CPU):
        assert not (onednn_takes(x) and is_wide(x, weight))
        assert linear(x, weight).shape == (len(x), len(weight))


@pytest.mark.parametrize("native", [False, True])
def test_auto_rounds_where_the_device_multiplies_bfloat16_natively(native, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: native)
    assert resolve_precision("auto", CPU) == ("bf16" if native else "float32")
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("float32", CPU) == "float32"


@pytest.mark.parametrize(
    ("interest", "interaction"),
    [("asta", "qnn"), ("din", "mlp"), ("din", "final"), ("mean", "cross")],
)
def test_a_network_in_bf16_is_near_the_exact_one_and_its_gradients_are_float32(
    interest, interaction
):
    net = network(settings(interest=interest, interaction=interaction)).float().eval()
    net.item.content = net.item.content.float()
    data, _ = rows()
    batch = data.batch(torch.arange(8))
    exact = net(batch)
    with matmul_precision("bf16", CPU):
        rounded = net(batch)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1 * exact.abs().max().item())
    rounded.sum().backward()
    assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {torch.float32}


def test_a_collapsed_bank_trains_without_dropout_inside_it_and_scores_as_the_full_one():
    full = network(settings(qnn=QnnSettings(layers=1, rows=3, dropout=0.5))).interaction.hidden[0]
    s = QnnSettings(layers=1, rows=3, dropout=0.5, bank="collapsed")
    collapsed = network(settings(qnn=s)).interaction.hidden[0]
    collapsed.load_state_dict(full.state_dict())
    torch.manual_seed(1)
    x = torch.randn(6, full.norm.num_features, dtype=torch.float64)
    assert torch.equal(collapsed.train().summed_bank(x), full.eval().summed_bank(x))
    torch.manual_seed(1)
    once = full.train().summed_bank(x)
    assert not torch.allclose(once, full.summed_bank(x))
    assert torch.equal(collapsed.eval()(x), full.eval()(x))
