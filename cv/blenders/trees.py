"""Blenders of columns of any kind: LightGBM on the features, alone or beside the logits."""

from collections.abc import Callable

import numpy as np

from cv.blenders import stacker
from cv.blenders.blender import Blender, Inputs
from cv.blenders.stacker import Columns, Trees


def trees(name: str, columns: Callable[[Inputs], Columns]) -> Blender:
    """LightGBM on some `columns`; its weights are `Trees`."""

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> Trees:
        return stacker.fit(inputs, columns, label, user)

    def predict(weights: Trees, inputs: Inputs) -> np.ndarray:
        return stacker.predict(weights.text, columns(inputs)[0])

    return Blender(name=name, fit=fit, predict=predict)


def features(inputs: Inputs) -> Columns:
    return inputs.features, inputs.names


def everything(inputs: Inputs, out: np.ndarray | None = None) -> Columns:
    """The logits, then the features; in `out` (n, M + F) float32, where that is given."""
    names = (*inputs.models, *inputs.names)
    table = np.empty((len(inputs), len(names)), np.float32) if out is None else out
    n_models = len(inputs.models)
    table[:, :n_models], table[:, n_models:] = inputs.logits, inputs.features
    return table, names


FEATURES_ONLY = trees("features_only", features)
LIGHTGBM = trees("lightgbm", everything)
