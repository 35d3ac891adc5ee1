"""Out-of-fold rows for blenders, made up: several models that see one truth through noise."""

import numpy as np

from cv.blenders.blender import Inputs


def sample(n=2000, seed=0, noise=(1.0, 1.5, 2.0)):
    """Models (n, len(noise)) that see the same truth, each through noise of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    logits = label[:, None] + rng.normal(size=(n, len(noise))) * np.array(noise)
    return logits, label, rng.integers(0, 5, n)


def inputs_of(logits, features=None, slate=None):
    return Inputs.of(
        {f"m{i}": column for i, column in enumerate(logits.T)},
        None if features is None else {f"f{i}": column for i, column in enumerate(features.T)},
        slate,
    )


def stacked(n=3000, seed=0, one_click=False):
    """Inputs of which a feature adds to the logits; label, fold and user (4 rows each, a slate).

    Labels are independent draws, or with `one_click` one click in every slate.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    label = (rng.random(n) < 1 / (1 + np.exp(-1.5 * hidden))).astype(int)
    if one_click:
        drawn = 1.5 * hidden + rng.gumbel(size=n)
        label = (drawn.reshape(-1, 4) == drawn.reshape(-1, 4).max(1, keepdims=True)).astype(int)
        label = label.ravel()
    logits = (hidden + rng.normal(size=n))[:, None] + rng.normal(size=(n, 2)) * 0.5
    features = hidden[:, None] + rng.normal(size=(n, 2)) * [1.0, 3.0]
    features[rng.random(n) < 0.1, 0] = np.nan
    user = np.arange(n) // 4
    return inputs_of(logits, features, user), label, user % 5, user
