"""Rounded matrix products."""

import math
import os
import subprocess
import sys

import pytest
import torch

from models.layers import onednn, precision, sparse_target_attention
from models.layers.precision import (
    Linear,
    exact,
    gradient_precision,
    is_wide,
    linear,
    matmul_precision,
    onednn_takes,
    product_precision,
    resolve_precision,
)
from models.layers.sparse_target_attention import SparseTargetAttention
from models.settings import QnnSettings
from tests.helpers.networks.small import history, network, rows, settings

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TF32, BF16 = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul


def switches():
    """torch's switches of tf32 and of medium."""
    return TF32.fp32_precision, BF16.fp32_precision


@pytest.fixture
def on_matrix_units(monkeypatch):
    """As if this device multiplied TF32, and had AMX: the switches work without either, too."""
    monkeypatch.setattr(precision, "has_tf32", lambda device: True)
    monkeypatch.setattr(precision, "has_amx", lambda device: True)
    before = switches()
    yield
    TF32.fp32_precision, BF16.fp32_precision = before


def recorded(function, seen):
    """`function`, which notes the switches in the list `seen` at every call."""

    def call(*arguments, **named):
        seen.append(switches())
        return function(*arguments, **named)

    return call


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


@pytest.mark.parametrize("rows", [(70,), (10, 7), (2, 5, 7)])
def test_wide_float32_products_are_onednn_s_and_equal_but_for_rounding(rows, monkeypatch):
    monkeypatch.setattr(precision, "WIDE", 256)
    torch.manual_seed(0)
    x = torch.randn(*rows, 300, requires_grad=True)
    bank, bias = torch.randn(260, 1200, requires_grad=True), torch.randn(260, requires_grad=True)
    weight, toward = bank.chunk(4, dim=1)[2], torch.randn(260, 70).T.unflatten(0, rows)

    def results(product) -> list[torch.Tensor]:
        x.grad = bank.grad = bias.grad = None
        y = product(x, weight, bias)
        y.backward(toward)
        return [y, x.grad, bank.grad, bias.grad]

    assert onednn_takes(x)
    assert is_wide(x, weight)
    for got, want in zip(results(linear), results(torch.nn.functional.linear), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("maker", "want"), [("GenuineIntel", math.inf), ("AuthenticAMD", 256), (None, 256)]
)
def test_the_width_from_which_onednn_multiplies_depends_on_the_maker(
    maker, want, tmp_path, monkeypatch
):
    monkeypatch.setattr(onednn, "CPU_INFO", tmp_path / "cpuinfo")
    if maker is not None:
        onednn.CPU_INFO.write_text(f"processor\t: 0\nvendor_id\t: {maker}\ncpu family\t: 6\n")
    assert onednn.least_width() == want


@pytest.mark.parametrize("biased", [True, False])
def test_torchs_private_operators_are_its_linear_map_packed_or_not(biased):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(7, 30), torch.randn(5, 30), torch.randn(5) if biased else None
    want = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(onednn.product(x, weight, bias), want)
    torch.testing.assert_close(onednn.product(x, onednn.pack(weight), bias), want)


@pytest.mark.parametrize(
    ("x", "weight", "wanted"),
    [
        (torch.ones(3, 300), torch.ones(255, 300), "float32"),
        (torch.ones(3, 255), torch.ones(300, 255), "float32"),
        (torch.ones(0, 300), torch.ones(300, 300), "float32"),
        (torch.ones(3, 300).double(), torch.ones(300, 300).double(), "float32"),
        (torch.ones(3, 300), torch.ones(300, 300), "bf16"),
    ],
)
def test_other_products_are_torch_s_own(x, weight, wanted, monkeypatch):
    monkeypatch.setattr(precision, "WIDE", 256)
    with matmul_precision(wanted, CPU):
        assert not (onednn_takes(x) and is_wide(x, weight))
        assert linear(x, weight).shape == (len(x), len(weight))


@pytest.mark.parametrize(
    ("device", "capability", "override", "wanted", "want"),
    [
        (CPU, None, None, "auto", "float32"),
        (CPU, None, None, "float32", "float32"),
        (CPU, None, None, "bf16", "bf16"),
        (CPU, None, None, "tf32", None),
        (CUDA, (7, 5), None, "auto", "float32"),
        (CUDA, (7, 5), None, "bf16", "bf16"),
        (CUDA, (7, 5), None, "tf32", None),
        (CUDA, (8, 0), None, "auto", "what AUTO_ON_CUDA says"),
        (CUDA, (8, 0), None, "float32", "float32"),
        (CUDA, (8, 0), None, "tf32", "tf32"),
        (CUDA, (9, 0), None, "bf16", "bf16"),
        (CUDA, (9, 0), "0", "auto", "float32"),
        (CUDA, (9, 0), "0", "tf32", None),
        (CUDA, (9, 0), None, "medium", None),
    ],
)
def test_what_a_precision_means_on_a_device(
    device, capability, override, wanted, want, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(precision, "AUTO_ON_CUDA", "what AUTO_ON_CUDA says")
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    if want is None:
        expected = {"tf32": r"8\.0 or newer", "medium": "a CPU with AMX"}[wanted]
        refusal = rf"fit\.precision={wanted}, but {device} .* {expected}.*; use float32 or auto$"
        with pytest.raises(ValueError, match=refusal):
            resolve_precision(wanted, device)
    else:
        assert resolve_precision(wanted, device) == want


@pytest.mark.parametrize("amx", [False, True])
def test_medium_takes_a_cpu_with_amx(amx, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    if amx:
        assert resolve_precision("medium", CPU) == "medium"
    else:
        with pytest.raises(ValueError, match=r"=medium, but cpu has no matrix units .* with AMX;"):
            resolve_precision("medium", CPU)


ROUNDING = {"tf32": ("tf32", "ieee"), "medium": ("ieee", "bf16")}  # what each sets
NONE = ("ieee", "ieee")


@pytest.mark.parametrize("before", [("none", "none"), ("tf32", "bf16"), NONE])
@pytest.mark.parametrize("wanted", ["auto", "float32", "tf32", "medium", "bf16"])
def test_factors_are_rounded_within_their_own_passes_alone(
    before, wanted, monkeypatch, on_matrix_units
):
    monkeypatch.setattr(precision, "AUTO_ON_CUDA", "float32")
    TF32.fp32_precision, BF16.fp32_precision = before
    want = ROUNDING.get(wanted, NONE)
    for context in (matmul_precision, gradient_precision):
        with context(wanted, CPU):
            assert switches() == want
            with product_precision("float32"):
                assert switches() == NONE
                for other, its in ROUNDING.items():
                    with product_precision(other):
                        assert switches() == its
                assert switches() == NONE
            assert switches() == want
        assert switches() == before
        with pytest.raises(ZeroDivisionError), context(wanted, CPU):
            _ = 1 / 0
        assert switches() == before


@pytest.mark.parametrize("wanted", ROUNDING)
def test_exact_leaves_the_rounding_and_comes_back_to_it(wanted, on_matrix_units):
    x = torch.ones(2, 2)
    with matmul_precision(wanted, CPU):
        with exact(x):
            assert switches() == NONE
            with exact(x):
                assert switches() == NONE
            assert switches() == NONE
        assert switches() == ROUNDING[wanted]


@pytest.mark.parametrize("wanted", ROUNDING)
def test_scores_and_logits_are_computed_exactly(wanted, monkeypatch, on_matrix_units):
    seen = {"wide": [], "single": [], "scores": []}
    layer, target, of_items = SparseTargetAttention(8, 16), torch.randn(3, 8), torch.randn(6, 8)
    with matmul_precision(wanted, CPU):
        for name, n_outputs in (("wide", 5), ("single", 1)):
            with monkeypatch.context() as patched:
                linear_map = torch.nn.functional.linear
                patched.setattr(precision.F, "linear", recorded(linear_map, seen[name]))
                Linear(8, n_outputs)(target)
        scores = recorded(sparse_target_attention.linear, seen["scores"])
        monkeypatch.setattr(sparse_target_attention, "linear", scores)
        layer(target, of_items, history((2, 0, 4), 6))
    assert seen == {"wide": [ROUNDING[wanted]], "single": [NONE], "scores": [NONE, NONE]}


@pytest.mark.skipif(not precision.has_amx(CPU), reason="this CPU has no AMX")
@pytest.mark.parametrize("width", [32, 300])
def test_medium_rounds_factors_and_keeps_sums_and_results_in_float32(width):
    torch.manual_seed(0)
    linear, x = Linear(width, 300), torch.randn(1024, width)
    with matmul_precision("medium", CPU):
        got = linear(x)
    factors = (x.bfloat16().double(), linear.weight.bfloat16().double())
    want = factors[0] @ factors[1].T + linear.bias.double()
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


def test_the_environment_cannot_turn_tf32_on_in_exact_products():
    code = (
        "import torch; from models.layers.precision import product_precision;"
        " matmul = torch.backends.cuda.matmul; print(matmul.fp32_precision);"
        "\nwith product_precision('float32'): print(matmul.fp32_precision)"
    )
    env = os.environ | {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout.split() == [b"tf32", b"ieee"]


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
