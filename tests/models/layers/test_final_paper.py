"""FINAL's layer as in equation 1 of its paper."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from models.interop.fuxictr import names
from models.layers.dropout import Dropout
from models.layers.final.network import FinalNetwork
from models.layers.final.paper import PaperLayer
from models.layers.final.published import PublishedLayer
from models.layers.fusion import fuse
from models.network import initialise
from models.settings import FinalSettings
from tests.helpers.networks.small import settings

close = torch.testing.assert_close
X = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SIGMA = {"none": nn.Identity(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}
STEPS = pytest.mark.parametrize("steps", [2, 3, 4])


def layer_of(steps, activation="none", d_out=3):
    torch.manual_seed(steps)
    return PaperLayer(4, d_out, steps, SIGMA[activation]).double()


def as_loops(layer, x, activation):
    """Equation 1, number by number."""
    rows = []
    for row in x:
        out = []
        for j in range(layer.maps[0].out_features):
            z = [m.bias[j] + sum(m.weight[j, k] * row[k] for k in range(4)) for m in layer.maps]
            terms = [z[0]]
            for one in z[1:]:
                terms.append(terms[-1] * SIGMA[activation](one))
            out.append(sum(terms))
        rows.append(torch.stack(out))
    return torch.stack(rows)


@STEPS
@pytest.mark.parametrize("activation", SIGMA)
def test_values_and_gradients_are_those_of_equation_1_written_as_loops(steps, activation):
    layer, x = layer_of(steps, activation), X.clone().requires_grad_()
    assert len(layer.maps) == steps
    got, want = layer(x), as_loops(layer, x, activation)
    close(got, want)
    inputs = [x, *layer.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad((y**3).sum(), inputs) for y in (got, want)), strict=True
    ):
        close(ours, theirs)


@pytest.mark.parametrize(
    ("x", "activation", "want"),
    [
        ([2.0, 1.0], "none", 3 + 3 * 7),
        ([2.0, 1.0], "relu", 3 + 3 * 7),
        ([-1.0, 3.0], "none", 4 + 4 * -4),
        ([-1.0, 3.0], "relu", 4),
        ([0.0, 2.0], "sigmoid", 3 + 3 * 0.5),
        ([0.0, 2.0], "tanh", 3),
    ],
)
def test_two_steps_by_hand(x, activation, want):
    """h_1 = x_1 + 2 x_2 - 1, and the factor is sigma(3 x_1 - x_2 + 2)."""
    layer = PaperLayer(2, 1, 2, SIGMA[activation])
    with torch.no_grad():
        for linear, weight, bias in zip(layer.maps, ([1, 2], [3, -1]), (-1, 2), strict=True):
            linear.weight.copy_(torch.tensor([weight]))
            linear.bias.fill_(bias)
    x = torch.tensor([x], requires_grad=True)
    close(layer(x), torch.tensor([[float(want)]]))
    close(fuse([layer])(x), torch.tensor([[float(want)]]))
    if want == 24:  # W_1 (1 + 7) + 3 W_2, as ReLU and the identity have the slope 1 there
        assert torch.autograd.grad(layer(x), x)[0].tolist() == [[17, 13]]


@STEPS
@pytest.mark.parametrize("activation", ["none", "tanh"])
@pytest.mark.parametrize("norm", [True, False])
def test_a_network_is_layers_with_batch_norm_behind_each_and_a_head(steps, activation, norm):
    torch.manual_seed(0)
    s = FinalSettings(
        layer="paper", steps=steps, block1=(5, 3), block2=(7,), activation1=activation,
        dropout=0.0, batch_norm=norm,
    )  # fmt: skip
    net = FinalNetwork(4, s).double()
    wanted = []
    for block, sigma, head in zip(net.blocks, (activation, "none"), net.heads, strict=True):
        x = X
        kinds = [type(part) for part in block]
        layers = [part for part in block if isinstance(part, PaperLayer)]
        assert kinds == [PaperLayer, *([nn.BatchNorm1d] * norm), Dropout] * len(layers)
        for layer in layers:
            factors = [SIGMA[sigma](m(x)) for m in layer.maps[1:]]
            x = sum(
                (torch.stack([layer.maps[0](x), *factors[:i]]).prod(0) for i in range(steps)),
                start=torch.zeros((), dtype=torch.float64),
            )
            if norm:
                x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        wanted.append(head(x))
    close(net(X), torch.cat(wanted, dim=1))


@STEPS
@pytest.mark.parametrize("gating", [False, True])
def test_the_fused_form_is_the_eval_mode(steps, gating):
    s = FinalSettings(
        layer="paper", steps=steps, block1=(6, 3), block2=(5,), activation1="sigmoid", gating=gating
    )
    torch.manual_seed(0)
    net = FinalNetwork(4, s, field_dim=2).double()
    for _ in range(20):
        net(torch.randn(64, 4, dtype=torch.float64))  # moves the running statistics
    close(net.eval().fused()(X), net(X).mean(1))


def test_two_steps_without_activation_are_the_published_layer_that_adds():
    paper = layer_of(2)
    published = PublishedLayer(4, 3, "sum").double()
    with torch.no_grad():
        published.linear.weight.copy_(torch.cat([m.weight for m in paper.maps]))
        published.linear.bias.copy_(torch.cat([m.bias for m in paper.maps]))
    close(paper(X), published(X))


@STEPS
def test_each_map_starts_as_a_map_of_its_own_width(steps):
    torch.manual_seed(0)
    layer = PaperLayer(60, 40, steps, nn.ReLU()).apply(initialise)
    assert sum(p.numel() for p in layer.parameters()) == steps * (60 * 40 + 40)
    for linear in layer.maps:
        assert 0.9 < linear.weight.std() / (2 / 100) ** 0.5 < 1.1


def test_no_published_checkpoint_has_weights_of_it():
    net = FinalNetwork(4, FinalSettings(layer="paper", block1=(6,), block2=()))
    with pytest.raises(ValueError, match=r"no published network has blocks\.0\.0\.maps\.0\.weight"):
        names(net, ())


def test_widths_of_it_may_be_odd_and_its_settings_know_what_they_do_not_read():
    paper = FinalSettings(layer="paper", block1=(7, 3), block2=(5,))
    assert paper.unread == {"residual"}
    assert replace(paper, block2=()).unread == {
        "residual",
        "activation2",
        "distillation",
        "dropout2",
    }
    assert FinalSettings().unread == {"steps"}
    with pytest.raises(ValueError, match="block1 and block2 must be even"):
        replace(paper, layer="published")


def test_a_fit_is_named_by_what_came_later_only_where_it_is_not_the_default():
    """Fits of the published layer, and of one dropout, keep the names that they had."""
    published = settings(interaction="final")
    assert not {"layer", "steps"} & published.naming()["final"].keys()
    assert published.naming() == replace(published, final=FinalSettings(steps=3)).naming()
    whole = asdict(published)
    del whole["final"]["layer"], whole["final"]["steps"], whole["final"]["dropout2"]
    assert published.naming() == whole
    paper = replace(published, final=FinalSettings(layer="paper", steps=3))
    whole = asdict(paper)
    del whole["final"]["dropout2"]
    assert paper.naming() == whole
    two = replace(paper, final=replace(paper.final, dropout2=(0.3,)))
    assert two.naming() == asdict(two)


def test_a_block_has_a_dropout_of_its_own_where_one_is_set():
    def dropouts(**changed):
        net = FinalNetwork(4, FinalSettings(block1=(6, 6), block2=(6,), dropout=0.3, **changed))
        return [[m.p for m in block if isinstance(m, Dropout)] for block in net.blocks]

    assert dropouts() == [[0.3, 0.3], [0.3]]
    assert dropouts(dropout2=(0.0,)) == [[0.3, 0.3], [0.0]]
    with pytest.raises(ValueError, match=r"dropout2: .* must hold one number at most"):
        dropouts(dropout2=(0.1, 0.2))
