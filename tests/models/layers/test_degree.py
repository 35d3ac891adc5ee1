"""How the degree of a network's polynomial grows with its layers: Figure 1 of FINAL's paper.

Along a random line x + t d a polynomial of degree n is one in t, of the same degree. Its Chebyshev
coefficients on [-100, 100], interpolated in float64 at more points than it needs, are zero up to
rounding behind the n-th.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from models.fields.compressed_interaction import CompressedInteraction
from models.fields.cross_network import FirstCrossNetwork
from models.layers.cross import CrossNetwork
from models.layers.final.block import final_block
from models.settings import FinalSettings

FIELDS, DIM = 3, 2
HIGHEST = 40  # that is looked for


def degree(part: nn.Module, shape=(FIELDS * DIM,)) -> int:
    """The highest degree of the outputs of `part` along a random line."""
    start, step = torch.randn(2, *shape, dtype=torch.float64)
    part = part.double().eval()

    @torch.no_grad()
    def along(t: np.ndarray) -> np.ndarray:
        times = torch.from_numpy(100 * t).reshape(-1, *[1] * len(shape))
        return part(start + times * step).sum(1).numpy()

    found = np.abs(np.polynomial.chebyshev.chebinterpolate(along, HIGHEST))
    return int(np.flatnonzero(found > 1e-13 * found.max())[-1])


def block(layers: int, **changed) -> nn.Module:
    s = FinalSettings(block1=(8,) * layers, block2=(), batch_norm=False, **changed)
    return final_block(FIELDS * DIM, s.block1, "none", 0.0, s)


@pytest.fixture(autouse=True)
def _same_weights_and_line():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("steps", "layers"),
    [(2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (5, 2), (6, 1)],
)
def test_the_papers_block_reaches_steps_to_the_power_of_layers(steps, layers):
    assert degree(block(layers, layer="paper", steps=steps)) == steps**layers


@pytest.mark.parametrize("residual", ["concat", "sum"])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_published_block_doubles_it_with_each_layer(layers, residual):
    assert degree(block(layers, layer="published", residual=residual)) == 2**layers


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6])
def test_linear_maps_stay_at_one_and_cross_networks_and_cin_add_one_with_each_layer(layers):
    width, fields = FIELDS * DIM, (FIELDS, DIM)
    assert degree(nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))) == 1
    assert degree(FirstCrossNetwork(width, layers), fields) == layers + 1
    assert degree(CrossNetwork(width, layers)) == layers + 1
    assert degree(CompressedInteraction(FIELDS, (4,) * layers), fields) == layers + 1


def test_an_activation_within_the_product_leaves_no_polynomial():
    assert degree(final_block(6, (8,), "sigmoid", 0.0, FinalSettings(layer="paper"))) == HIGHEST


def test_the_degree_of_a_known_polynomial_is_found():
    class Power(nn.Module):
        def forward(self, x):
            return x**self.exponent + 1

    for power, exponent in itertools.product([Power()], (0, 1, 7, 27)):
        power.exponent = exponent
        assert degree(power) == exponent
