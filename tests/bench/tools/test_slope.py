"""bench.tools.slope on power laws."""

import pytest

from bench.tools.slope import slope


@pytest.mark.parametrize("b", [-0.5, 0, 1, 1.7])
def test_a_power_law_has_its_exponent(b):
    x = [400_000, 1_200_000, 3_600_000]
    assert slope(x, [3 * n**b for n in x]) == pytest.approx(b, abs=1e-9)


def test_others_have_that_of_the_line_through_the_logarithms():
    assert slope([1, 10, 100], [1, 1, 100]) == pytest.approx(1)
