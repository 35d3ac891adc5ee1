"""Reliability of probabilities."""

import numpy as np
import pytest

from cv.calibration import reliability


@pytest.mark.parametrize("scale", [1, 60, 1000])
def test_the_slope_is_finite_however_extreme_the_logits_are(scale):
    """A probability that is rounded to 1 has no finite logit."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=2000)
    label = (rng.random(2000) < 1 / (1 + np.exp(-z))).astype(int)
    slope = reliability(label, scale * z).slope
    assert 0 < slope < 1.3
    assert scale > 1 or slope == pytest.approx(1, abs=0.15)
